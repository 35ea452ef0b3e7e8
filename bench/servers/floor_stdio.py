"""The floor over stdio: `floor_stdio.py stdio`. Read what there is, answer every line, write once."""

import os

from floor_messages import answer, decode, notices

CHUNK = 256 * 1024


def main():
    rest = b""
    while chunk := os.read(0, CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        answers = []
        for line in lines:
            message = decode(line)
            if message.id is not None:
                answers += notices(message)
                answers.append(answer(message))
        if answers:
            write(b"\n".join(answers) + b"\n")


def write(data):
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
