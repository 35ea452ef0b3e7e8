"""What the bytes mean: msgspec structs in the specification's own words, no behaviour."""
