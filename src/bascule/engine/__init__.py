"""The protocol with no I/O, no clock, no await and no dates: what stays true whatever carries the bytes."""
