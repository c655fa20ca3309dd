"""The tests mirror src/; helpers that several of them share live beside them."""
