"""The families of networks, one file each: their blocks, their spaces, their quirks.

`registry` lists them. To add one, write a file with a `Family` and add it to the list there.
"""
