import gluon_attn  # noqa: F401  (before mxnet, as Python 3.12 needs)
