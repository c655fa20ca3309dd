"""training owns how a model comes to be and how it is judged: labels, weights, folds, fitting, calibration, evaluation.

It works on arrays and never reads a clock, a catalog or a feed; whoever has history hands it in. Nothing of the core reaches it. Start in
`labels`, then `folds`, then `evaluation`.
"""
