"""models owns what turns a row of features into a score: readers of trained models, their packed form, the arithmetic of a prediction, the
pool that keeps several of them loaded.

It never trains, never sees an order or an account, and imports no trainer: a file is read as text and checked, nothing in it runs. What it
cannot compute to the bit as the library that trained the model does, it refuses by name when loading, never when predicting.
Start in `forest` (what a user calls), then `lightgbm_text` and `xgboost_json` (what is read), `packing` (what is kept), `kernels` and
`lanes` (what runs) and `pool` (what stays loaded).
"""
