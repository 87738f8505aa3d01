"""Estimates of a network's speed on an NPU, by Arm's compiler Vela from an int8 TFLite file that is made of it.

What others call is :func:`~madnas.measure.npu.estimate.estimate`.
"""
