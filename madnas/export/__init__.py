"""Networks as files that other programs run: ONNX and torch.export, checked numerically against PyTorch."""
