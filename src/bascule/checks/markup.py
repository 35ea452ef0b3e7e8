"""Text that poses as structure: chat-template tokens, role and tool tags, turn markers, hidden HTML, odd fences.

Nothing is removed here. What stands out is made harmless and stays readable: `<|im_start|>` becomes `‹|im_start|›`,
`<system>` becomes `‹system>`, `[INST]` becomes `‹INST›`, and `Human:` at the start of a line becomes `Human›`. No
tokeniser makes a special token of these, and no step makes a text longer.
Fences stay, and the code in them. One that nothing closes would take in what follows the text (or close what came
before it): its marks are shown as `‹`›`. One whose label is a role or a tool gets the label `‹…›`.
Source: the chat templates that the makers of the models publish with them.
"""

import re
from functools import cache
from typing import NamedTuple

from bascule.checks.characters import Count

_OPENERS = "<＜﹤["
_NAME = r"[\w▁](?:[\w▁:/.\-\ ]{0,62}[\w▁])?"
_CLOSE = "[>＞﹥]"

_TOKENS = rf"""
  ([{re.escape(_OPENERS)}])(?:
    (?P<chat_token> (?<!\[) (?i:
          [|｜]/?{_NAME}[|｜]?{_CLOSE} | /?{_NAME}[|｜]{_CLOSE}
        | <\s?/?SYS\s?>>
        | /?(?:bos|eos|s|pad|unk|sep|mask|start_of_turn|end_of_turn|start_of_image|end_of_image|image_soft_token
            |(?:start|end)_function_(?:call|response|declaration)|extra_id_\d{{1,3}}|SPECIAL_\d{{1,3}}){_CLOSE}
      )
      | (?<=\[) \s?/?(?:INST|SYS|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK)\s?\]
    )
  | (?<!\[) (?i:
        (?=\s{{0,4}}/?\s{{0,4}}(?:[a-z]{{1,12}}:)?(?:
            system|sys|system[-_\ ]?(?:prompt|message|reminder|instructions?|note|override)|assistant|user|human
            |developer|instructions?|prompt|admin|important|override|policy|tools?|tool[-_]?(?:calls?|uses?|results?
            |responses?|outputs?|code)|available[-_]tools|functions?|function[-_]?(?:calls?|results?|responses?
            |outputs?)|invoke|thinking|think|scratchpad|reasoning|untrusted(?:-\w{{1,64}})?
        )(?:[\s/=:>＞﹥]|\Z)) (?P<role_tag>)
      | (?= !-- | /?(?:script|style|iframe|object|embed|meta|link|base|form|noscript|template)(?:[\s/>]|\Z)
          | [a-z][\w-]{{0,30}}\s[^<>‹›]{{0,500}}?(?:
              \bhidden(?:[\s>/=]|\Z)|display\s{{0,3}}:\s{{0,3}}none|visibility\s{{0,3}}:\s{{0,3}}hidden
              |font-size\s{{0,3}}:\s{{0,3}}0|opacity\s{{0,3}}:\s{{0,3}}0(?![.\d]))
        ) (?P<html>)
    )
  )
"""
_ROLES = ("human", "assistant", "user", "system", "developer", "instruct", "respons", "input")

_TURNS = r"""
    ^(?P<head>(?:[^\S\n]|[>*\#_~-])*+)
    (?P<role>
        (?:Human|HUMAN|Assistant|ASSISTANT|User|USER|System|SYSTEM|Developer|DEVELOPER)
        (?:[^\S\n]{1,3}(?i:message|prompt|override|instructions?|notice|update))?
      | (?<=[#])[^\S\n]{0,4}(?:Instructions?|Response|Input)
      | (?<=[#][^\S\n])(?:Instructions?|Response|Input)
    )
    (?P<tail>[^\S\n]{0,4}[*_]{0,3}[^\S\n]{0,4})[:：]
"""

_FENCE = r"^(?P<lead>[ ]{0,3})(?P<mark>`{3,}+(?=[^`\n]*+$)|~{3,}+)(?P<label>[^\n]*+)$"
_LABELS = re.compile(
    r"\s*+(?:system|user|human|assistant|developer|prompt|instructions?|tools?|tool[-_]?(?:calls?|use|results?|outputs?"
    r"|code|responses?)|function[-_]?(?:calls?|results?|responses?))(?!\w)",
    re.IGNORECASE,
)


def shown(text: str, folded: str, count: Count) -> str:
    """The text with tokens, tags and turn markers made visible; `folded` is its letters, as `override` folds them."""
    if "<" in text or "[" in text or "＜" in text or "﹤" in text:
        text = _tokens().sub(lambda match: _token(match, count), text)
    if (":" in text or "：" in text) and [role for role in _ROLES if role in folded]:
        text, found = _turns().subn(r"\g<head>\g<role>\g<tail>›", text)
        count("turn_marker", found)
    return text


def fenced(text: str, count: Count) -> str:
    """The text with fences that nothing closes, and labels that pose as a role or tool, made harmless."""
    if "```" not in text and "~~~" not in text:
        return text
    fences = [_fence(match) for match in _fences().finditer(text)]
    parts: list[str] = []
    done = 0
    for start, end, replacement in _changes(fences):
        parts += [text[done:start], replacement]
        done = end
        count("fence", 1)
    return "".join([*parts, text[done:]])


@cache
def _tokens() -> re.Pattern[str]:
    return re.compile(_TOKENS, re.VERBOSE)


@cache
def _turns() -> re.Pattern[str]:
    return re.compile(_TURNS, re.VERBOSE | re.MULTILINE)


@cache
def _fences() -> re.Pattern[str]:
    return re.compile(_FENCE, re.MULTILINE)


def _token(match: re.Match[str], count: Count) -> str:
    kind = match.lastgroup or ""
    count(kind, 1)
    found = match[0]
    if kind != "chat_token":
        return "‹"
    edge = 2 if found[:2] == "<<" else 1
    return "‹" * edge + found[edge:-edge] + "›" * edge


class _Fence(NamedTuple):
    start: int
    mark: str
    label: str

    @property
    def closes(self) -> bool:
        return not self.label.strip()


def _fence(match: re.Match[str]) -> _Fence:
    return _Fence(match.start("mark"), match["mark"], match["label"])


def _changes(fences: list[_Fence]) -> list[tuple[int, int, str]]:
    """What to replace, as places and texts; every fence is looked at twice."""
    longest: dict[str, list[int]] = {}
    for sign in "`~":
        best = [0]
        for fence in reversed(fences):
            best.append(max(best[-1], len(fence.mark) if fence.closes and fence.mark[0] == sign else 0))
        longest[sign] = best[::-1]
    changes = []
    at = 0
    while at < len(fences):
        start, mark, label = fences[at]
        at += 1
        if longest[mark[0]][at] < len(mark):
            changes.append((start, start + len(mark), f"‹{mark[2:]}›"))
            continue
        if posed := _LABELS.match(label):
            changes.append((start + len(mark), start + len(mark) + posed.end(), "‹…›"))
        while not (fences[at].closes and fences[at].mark[0] == mark[0] and len(fences[at].mark) >= len(mark)):
            at += 1
        at += 1
    return changes
