"""Training on Ray Train and DeepSpeed. `training.launch` will be the only module here that imports ray."""
