"""training owns how a model comes to be and how it is judged: labels, weights, folds, fitting, calibration, evaluation.

It works on arrays and reads no clock, no catalog and no feed; whoever has history hands it in. Nothing of the core reaches it. Start in
`labels`, then `folds`, then `evaluation`.
"""
