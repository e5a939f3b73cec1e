"""The stages of `tools/demo.py`: what they do, how they are reused and resumed, and what is reported."""
