"""One thread per process: on small networks the threads of parallel test processes only wait for each other."""

import torch

torch.set_num_threads(1)
