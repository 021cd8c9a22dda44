"""Products of users' and items' vectors, by alternating least squares and by stochastic gradient descent."""
