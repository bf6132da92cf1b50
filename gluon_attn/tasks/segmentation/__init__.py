"""Segmentation: DANet, FCN and AFF-FCN on backbones of the zoo."""
