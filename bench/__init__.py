"""The benchmark: Bascule beside the floor and its peers. `bench/README.md` tells how to run and how to read it."""
