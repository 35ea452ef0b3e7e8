"""Where shared state lives, behind the interfaces of engine/ports."""
