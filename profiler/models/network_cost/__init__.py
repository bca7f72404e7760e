"""Computes multiply-accumulates, parameters and bytes of weights from model files."""
