"""What is computed: the problem, the model, the steps of training, and how well the model does."""
