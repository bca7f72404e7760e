"""The families of networks, one file for each, with its blocks, spaces and special cases.

`registry` lists them. To add a family, write a file with a `Family` and add it to the list there.
"""
