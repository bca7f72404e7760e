"""Two tables of one set-up compared: did anything become slower?"""
