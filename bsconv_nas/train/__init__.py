"""Brief training of networks: recipe, augmentation, loop, checkpoints."""
