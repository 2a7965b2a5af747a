"""From a trained network to graphs and engines that are fit to be served."""
