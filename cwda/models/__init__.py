"""Architectures, the built-in trained weights and the script that trained them; labelled images."""

from cwda.models.build import ARCHITECTURES, build
from cwda.models.data import ImageData, Images, read_images
from cwda.models.evaluate import accuracy
from cwda.models.resnet import DEPTHS, CifarResNet, cifar_resnet, initialise
from cwda.models.vgg import CifarVGG, cifar_vgg

__all__ = [
    "ARCHITECTURES",
    "DEPTHS",
    "CifarResNet",
    "CifarVGG",
    "ImageData",
    "Images",
    "accuracy",
    "build",
    "cifar_resnet",
    "cifar_vgg",
    "initialise",
    "read_images",
]
