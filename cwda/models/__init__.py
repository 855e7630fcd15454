"""Small architectures, the built-in trained weights, and the script that trained them."""

from cwda.models.resnet import DEPTHS, CifarResNet, cifar_resnet, initialise

__all__ = ["DEPTHS", "CifarResNet", "cifar_resnet", "initialise"]
