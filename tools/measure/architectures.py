"""Architectures as their configurations make them, on the meta device, and the rules that divide them."""

import re
import sys
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

import torch
from torch import nn

from course_lib.groups import decay_groups


class Anything(type):
    """The type of classes of nothing, whose attributes are such classes, too."""

    def __getattr__(cls, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return Anything(name, (nn.Module,), {})


class Nothing(ModuleType):
    """A module that has a class of nothing under any name."""

    __getattr__ = Anything.__getattr__


class StandIn:
    """Finds nothing in the place of torchvision, which has to be built for this very torch.

    Only shapes are needed here.
    """

    @classmethod
    def install(cls):
        """Let timm be imported whole."""
        sys.meta_path.insert(0, cls())
        import_module("timm")

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torchvision":
            return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Nothing(spec.name)

    def exec_module(self, module):
        pass


# The rules: each returns the decayed of the trainable parameters, as a set of names


def trainable(model):
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def everything(model):
    return set(trainable(model))


def two_dimensions(model):
    """nanoGPT's."""
    return {name for name, parameter in trainable(model).items() if parameter.ndim >= 2}


def timms(model):
    """timm's, as its factory of optimizers has it."""
    from timm.optim import param_groups_weight_decay

    named = getattr(model, "no_weight_decay", set)()
    groups = param_groups_weight_decay(model, 0.1, no_weight_decay_list=named)
    return decayed_of(model, groups)


def trainers(model):
    """That of transformers' Trainer."""
    from transformers import Trainer

    return set(Trainer.get_decay_parameter_names(None, model)) & set(trainable(model))


def decay_groups_of_the_book(model):
    return decayed_of(model, decay_groups(model, 0.1))


def decayed_of(model, groups):
    decayed = {id(parameter) for group in groups if group["weight_decay"] for parameter in group["params"]}
    return {name for name, parameter in trainable(model).items() if id(parameter) in decayed}


RULES = {
    "everything": everything,
    "ndim >= 2": two_dimensions,
    "timm": timms,
    "Trainer": trainers,
    "decay_groups": decay_groups_of_the_book,
}


# The architectures


def from_transformers(model, config, **settings):
    import transformers

    return getattr(transformers, model)(getattr(transformers, config)(**settings))


def from_timm(name):
    import timm

    return timm.create_model(name)


def lora(make, targets):
    from peft import LoraConfig, get_peft_model

    return get_peft_model(make(), LoraConfig(target_modules=targets))


def lstm():
    return nn.ModuleDict(
        {
            "embedding": nn.Embedding(10_000, 650),
            "lstm": nn.LSTM(650, 650, 2),
            "decoder": nn.Linear(650, 10_000),
        }
    )


gpt2 = partial(from_transformers, "GPT2LMHeadModel", "GPT2Config")
ARCHITECTURES = {
    "LSTM (torch)": lstm,
    "Transformer (torch)": nn.Transformer,
    "GPT-2": gpt2,
    "GPT-2 with LoRA": partial(lora, gpt2, ["c_attn"]),
    "Llama": partial(from_transformers, "LlamaForCausalLM", "LlamaConfig"),
    "Gemma": partial(from_transformers, "GemmaForCausalLM", "GemmaConfig"),
    "Qwen3": partial(from_transformers, "Qwen3ForCausalLM", "Qwen3Config"),
    "gpt-oss": partial(from_transformers, "GptOssForCausalLM", "GptOssConfig"),
    "Mixtral": partial(from_transformers, "MixtralForCausalLM", "MixtralConfig"),
    "Mamba": partial(from_transformers, "MambaForCausalLM", "MambaConfig"),
    "Mamba 2": partial(from_transformers, "Mamba2ForCausalLM", "Mamba2Config"),
    "RWKV": partial(from_transformers, "RwkvForCausalLM", "RwkvConfig"),
    "T5": partial(from_transformers, "T5ForConditionalGeneration", "T5Config"),
    "BART": partial(from_transformers, "BartForConditionalGeneration", "BartConfig"),
    "BERT": partial(from_transformers, "BertForMaskedLM", "BertConfig"),
    "DeBERTa V2": partial(from_transformers, "DebertaV2ForMaskedLM", "DebertaV2Config"),
    "ModernBERT": partial(from_transformers, "ModernBertForMaskedLM", "ModernBertConfig"),
    "Whisper": partial(from_transformers, "WhisperForConditionalGeneration", "WhisperConfig"),
    "Wav2Vec2": partial(from_transformers, "Wav2Vec2ForCTC", "Wav2Vec2Config"),
    "CLIP": partial(from_transformers, "CLIPModel", "CLIPConfig"),
    "SigLIP": partial(from_transformers, "SiglipModel", "SiglipConfig"),
    "ViT (transformers)": partial(from_transformers, "ViTForImageClassification", "ViTConfig"),
    "DINOv2": partial(from_transformers, "Dinov2ForImageClassification", "Dinov2Config"),
    "Swin (transformers)": partial(from_transformers, "SwinForImageClassification", "SwinConfig"),
    "Swin V2 (transformers)": partial(from_transformers, "Swinv2ForImageClassification", "Swinv2Config"),
    "ConvNeXt V2 (transformers)": partial(
        from_transformers, "ConvNextV2ForImageClassification", "ConvNextV2Config"
    ),
    "ResNet (transformers)": partial(from_transformers, "ResNetForImageClassification", "ResNetConfig"),
    "ViT": partial(from_timm, "vit_base_patch16_224"),
    "DeiT III": partial(from_timm, "deit3_base_patch16_224"),
    "BEiT": partial(from_timm, "beit_base_patch16_224"),
    "CaiT": partial(from_timm, "cait_s24_224"),
    "XCiT": partial(from_timm, "xcit_small_12_p16_224"),
    "LeViT": partial(from_timm, "levit_256"),
    "Swin": partial(from_timm, "swin_base_patch4_window7_224"),
    "Swin V2": partial(from_timm, "swinv2_base_window8_256"),
    "MaxViT": partial(from_timm, "maxvit_base_tf_224"),
    "MLP-Mixer": partial(from_timm, "mixer_b16_224"),
    "ConvNeXt": partial(from_timm, "convnext_base"),
    "ResNet": partial(from_timm, "resnet50"),
    "EfficientNet": partial(from_timm, "efficientnet_b0"),
}


# Where the rules disagree


@dataclass(frozen=True)
class Kind:
    """A kind of parameter that some rules decay and others do not.

    The pattern is looked for in the class of the owner and the name; the first kind that has it is it. The
    verdict is "argument" where there is a reason for one of the answers, "convention" where there is only
    what others do, "open" where there are reasons for both, or the question was asked and not answered.
    """

    pattern: str
    verdict: str
    why: str
    source: str
    address: str


KINDS = {
    "bias with two dimensions": Kind(
        r"_bias$|GRN \S+\.bias$",
        "argument",
        "Free: it has to hold an offset, and is one of each expert, or of an image's channels, so that its "
        "dimensions say nothing about it.",
        "Cross Validated on weights without bias",
        "https://stats.stackexchange.com/questions/329894/regularization-on-weights-without-bias",
    ),
    "temperature": Kind(
        r"logit_scale$|temperature$",
        "argument",
        "Free: zero is no smaller model. The exponential of zero is a temperature of one, and attention with "
        "a factor of zero is a mean.",
        "mlfoundations/open_clip 358",
        "https://github.com/mlfoundations/open_clip/pull/358",
    ),
    "rate of a recurrence": Kind(
        r"A_log$|time_(decay|first)$",
        "argument",
        "Free: it is a logarithm, and zero is the rate one, not a smaller model. Mamba's authors mark it as "
        "free, without a word why.",
        "state-spaces/mamba 798",
        "https://github.com/state-spaces/mamba/issues/798",
    ),
    "attention sink": Kind(
        r"sinks$",
        "argument",
        "Free: it is a bias by another name, in the denominator of the softmax.",
        "marin-community/marin 1593",
        "https://github.com/marin-community/marin/issues/1593",
    ),
    "what makes biases of positions": Kind(
        r"relative_(position|attention)_bias|attention_biases$|cpb_mlp|continuous_position_bias",
        "convention",
        "Free in Swin's configuration. Those who use it were asked why, and said that they follow it.",
        "open-mmlab/mmsegmentation 1486",
        "https://github.com/open-mmlab/mmsegmentation/issues/1486",
    ),
    "gain of a normalization": Kind(
        r"^\w*(Norm|GRN)\w* ",
        "convention",
        "Free since BERT, whose authors were asked why and did not answer; decayed in Torch7. What the gain "
        "loses the next layer can win back.",
        "google-research/bert 289",
        "https://github.com/google-research/bert/issues/289",
    ),
    "position": Kind(
        r"pos_embed|position_embedding|embed_positions|\bwpe\b",
        "convention",
        "Free in timm, decayed in nanoGPT. The discussion weighs both.",
        "karpathy/minGPT 24",
        "https://github.com/karpathy/minGPT/pull/24",
    ),
    "token": Kind(
        r"(cls|mask)_token$|class_embedding$|masked_spec_embed$|probe$",
        "convention",
        "Free in timm, but DeiT's authors decay a second such token, and mean it.",
        "facebookresearch/deit 48",
        "https://github.com/facebookresearch/deit/issues/48",
    ),
    "mixture with the token before": Kind(
        r"time_mix_",
        "convention",
        "Free with RWKV's authors, who decay nothing here. Zero takes the token before, one the token.",
        "BlinkDL/RWKV-LM",
        "https://github.com/BlinkDL/RWKV-LM/blob/038f06b99627049729e332bc66159e0a0092cdaa/RWKV-v4neo/src/model.py",
    ),
    "scale of a branch": Kind(
        r"gamma(_?\d)?$|lambda\d$",
        "open",
        "It multiplies weights that are decayed already. An author finds it reasonable to leave it free; "
        "asked what that gains, nobody measured.",
        "majumderb/rezero 14",
        "https://github.com/majumderb/rezero/issues/14",
    ),
    "skip of a state-space model": Kind(
        r"\.D$",
        "open",
        "It is a diagonal matrix, and matrices are decayed, but its authors mark it as free.",
        "athms/mad-lab 5",
        "https://github.com/athms/mad-lab/issues/5",
    ),
}
SELECTIVE = [rule for rule in RULES if rule != "everything"]


def look_at(model):
    """Return how many parameters each rule decays, and those on which the rules that select disagree."""
    parameters, decayed = trainable(model), {rule: decays(model) for rule, decays in RULES.items()}
    owners = {
        f"{path}.{name}".lstrip("."): type(owner).__name__
        for path, owner in model.named_modules()
        for name, _ in owner.named_parameters(recurse=False)
    }
    disputed = {}
    for name, parameter in parameters.items():
        by = [rule for rule in SELECTIVE if name in decayed[rule]]
        if 0 < len(by) < len(SELECTIVE):
            key = kind_of(owners[name], name), pattern(name), owners[name], ", ".join(by)
            disputed.setdefault(key, []).append(parameter)
    return {
        "tensors": len(parameters),
        "decayed": {rule: sum(parameters[name].numel() for name in names) for rule, names in decayed.items()},
        "disputed": [
            {
                **dict(zip(("kind", "names", "owner", "decayed_by"), key, strict=True)),
                "shape": list(same[0].shape),
                "tensors": len(same),
                "parameters": sum(parameter.numel() for parameter in same),
            }
            for key, same in disputed.items()
        ],
    }


def kind_of(owner, name):
    """Return the kind of a parameter on which rules disagree; raise a LookupError for a new one."""
    for kind, about in KINDS.items():
        if re.search(about.pattern, f"{owner} {name}"):
            return kind
    raise LookupError(f"no kind of disagreement has {name} of {owner}")


def pattern(name):
    """Return a name with * for the numbers in it, but those of its first part."""
    return re.sub(r"(?<=\.)(\w*?)\d+(?=\.|$)", r"\1*", name)


def measure():
    """Return what every architecture looks like."""
    found = {}
    for name, make in ARCHITECTURES.items():
        with torch.device("meta"):
            found[name] = look_at(make())
    return found
