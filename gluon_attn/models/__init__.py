"""Backbones: one file a family, parametrised by slot. `gluon_attn.zoo` gives them their names."""
