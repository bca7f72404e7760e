"""Trains supernets: recipes, training steps, and runs that can be interrupted and continued."""
