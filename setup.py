"""What pyproject.toml cannot say: the stored weights of params/ are installed as gluon_attn/params."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["gluon_attn*"]), "gluon_attn.params"],
    package_dir={"gluon_attn.params": "params"},
)
