"""Training supernets: recipes, the steps they are made of, and runs that survive being killed."""
