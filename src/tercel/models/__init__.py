"""models owns what turns a row of features into a score: readers of trained models, their packed form, the arithmetic of a prediction,
what is trained, kept and put in place.

Outside `training` it never trains and imports no trainer, and it never sees an order or an account: a file is read as text and checked,
nothing in it runs. What it cannot compute to the bit as the library that trained the model does, it refuses by name when loading, never
when predicting. Start in `forest` (what a user calls), then `packing` (what is kept), `kernels` and `lanes` (what runs); for the trading
path in `manifest`, `placement` and `scoring`; for what stays loaded in `pool`, on disk in `registry`; for training in `training`.
"""
