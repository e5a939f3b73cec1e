"""Packaging of drivewm: what it needs, and the extras: sparse convolution, Argoverse 2, viewing, development."""

from setuptools import find_packages, setup

LINUX_X86 = "sys_platform == 'linux' and platform_machine == 'x86_64'"

CORE = [
    "torch>=2.4",
    "mmengine>=0.10.7,<0.11",
    "nuscenes-devkit>=1.2,<2",  # pins numpy<2 and Shapely~=2.0.3
    "numpy>=1.26.4,<2",
    "numba>=0.60",
    "scipy",
    "shapely>=2.0.3,<2.1",
    "einops",
    "timm>=1.0",
    "tensorboard",
    "matplotlib",
    "Pillow",
    "imageio",
    "imageio-ffmpeg",
    "tqdm",
]

EXTRAS = {
    # cu120 has no wheel for Python 3.12
    "sparse": [
        f"spconv-cu120>=2.3.6; python_version < '3.12' and {LINUX_X86}",
        f"spconv-cu126>=2.3.8; python_version >= '3.12' and {LINUX_X86}",
    ],
    "argoverse": ["pyarrow>=14,<18"],  # later ones need numpy 2
    "view": ["open3d>=0.20", "viser>=1.0"],
    "dev": ["pytest", "pytest-xdist", "hypothesis", "ruff"],
}

setup(
    name="drivewm",
    version="0.1.0",
    description="An open world model for autonomous driving",
    long_description=open("README.md", encoding="utf-8").read(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["drivewm", "drivewm.*"]),
    install_requires=CORE,
    extras_require=EXTRAS,
)
