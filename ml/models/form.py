"""The form that every model of a bundle has: one row of features in, one probability out."""

INPUT = "features"  # float32 (1, columns)
OUTPUT = "probability"  # float32 (1, 1): of the up barrier, calibrated
TOLERANCE = 1e-5  # of probabilities, between a trained model and its export
