from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from course_lib.data import separable
from course_lib.models import Perceptron
from course_lib.optimum import logistic_optimum
from course_lib.penalties import Reason, decay_groups, decay_reasons, l1_penalty, l2_penalty, soft_threshold

X_GRID = torch.linspace(-5, 5, 101, dtype=torch.float64)


def names_in(module, group):
    return {name for name, p in module.named_parameters() if any(p is held for held in group["params"])}


def owner(kind, base=nn.Module, sizes=(), **shapes):
    """Return a module of a class of that name, with parameters of these shapes: as in foreign code."""
    module = type(kind, (base,), {})(*sizes)
    for name, shape in shapes.items():
        module.register_parameter(name, nn.Parameter(torch.ones(shape)))
    return module


def at(path, module):
    """Return a module that holds another one under a path like a.b."""
    for name in reversed(path.split(".")):
        holder = nn.Module()
        holder.add_module(name, module)
        module = holder
    return module


def network():
    return nn.ModuleDict(
        {
            "embedding": nn.Embedding(5, 4),
            "conv": nn.Conv2d(1, 2, 3),
            "batch": nn.BatchNorm2d(2),
            "layer": nn.LayerNorm(4),
            "group": nn.GroupNorm(2, 4),
            "linear": nn.Linear(4, 3),
        }
    )


def test_weight_matrices_kernels_and_embeddings_are_decayed_biases_and_gains_are_not():
    module = network()
    decayed, free = decay_groups(module, 0.1)
    assert names_in(module, decayed) == {"embedding.weight", "conv.weight", "linear.weight"}
    assert names_in(module, free) == {
        "conv.bias",
        "linear.bias",
        *(f"{norm}.{kind}" for norm in ("batch", "layer", "group") for kind in ("weight", "bias")),
    }


BIAS, NORM = "bias: has to hold an offset", "gain of a normalization"
OF_POSITIONS, SCALE = "makes biases of positions", "scale, shift or temperature"
VECTOR = "vector: one dimension at most is longer than 1"
MATRIX = "matrix: two dimensions or more are longer than 1"


def lazy():
    module = nn.Sequential(nn.LazyConv2d(2, 1), nn.Flatten(), nn.LazyLinear(1))
    module(torch.ones(1, 1, 1, 1))
    return module


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(4, 1),
        nn.Linear(1, 1),
        nn.Bilinear(1, 1, 1),
        nn.Conv1d(4, 4, 1, groups=4),
        nn.Conv2d(1, 1, 1),
        nn.Conv3d(1, 2, 1),
        nn.ConvTranspose1d(1, 2, 1),
        nn.ConvTranspose2d(1, 1, 1),
        nn.ConvTranspose3d(1, 1, 1),
        nn.Embedding(1, 4),
        nn.EmbeddingBag(4, 1),
        nn.RNN(1, 1),
        nn.LSTM(1, 3, proj_size=1, num_layers=2, bidirectional=True),
        nn.GRU(1, 2),
        nn.RNNCell(1, 1),
        nn.LSTMCell(1, 1),
        nn.GRUCell(1, 1),
        nn.MultiheadAttention(1, 1, add_bias_kv=True),
        nn.MultiheadAttention(2, 1, kdim=1, vdim=1, add_bias_kv=True),
        nn.TransformerDecoderLayer(2, 1, 1).linear1,
        lazy(),
    ],
    ids=repr,
)
def test_weights_of_torchs_layers_are_decayed_whatever_their_shape_and_their_biases_are_not(module):
    for name, reason in decay_reasons(module).items():
        assert reason.decays == ("weight" in name)
        if reason.decays:
            assert reason.why.startswith(("weight of ", "rows of "))
            assert reason.basis == "convention"
        else:
            assert reason == Reason(False, BIAS, "argument")


@pytest.mark.parametrize(
    "module",
    [
        nn.LayerNorm([2, 3]),
        nn.RMSNorm((4, 5)),
        nn.GroupNorm(2, 4),
        nn.BatchNorm1d(3),
        nn.BatchNorm2d(3),
        nn.SyncBatchNorm(3),
        nn.InstanceNorm3d(3, affine=True),
        *(
            owner(kind, weight=(4, 16))
            for kind in (
                "CohereLayerNorm",
                "T5LayerNorm",
                "LlamaRMSNorm",
                "RMSNormGated",
                "RmsNormFp32",
                "QKNorm",
            )
        ),
        *(
            owner(kind, weight=(4, 16))
            for kind in ("LayerNorm2d", "RmsNormAct2d", "EvoNorm2dS0a", "layer_norm")
        ),
        owner("OfAnotherName", nn.LayerNorm, (4,), weight=(4, 16)),
        owner("MultiHeadRMSNorm", gamma=(4, 1, 16)),
    ],
    ids=lambda module: type(module).__name__,
)
def test_what_a_normalization_owns_is_free_whatever_its_shape(module):
    reasons = decay_reasons(module)
    assert all(not reason.decays for reason in reasons.values())
    assert {name: reason.why for name, reason in reasons.items()} == {
        name: BIAS if name == "bias" else NORM for name in reasons
    }


@pytest.mark.parametrize(
    "module",
    [
        owner("LayerNormLSTMCell", weight_ih=(8, 4)),
        owner("NormFreeBlock", weight=(8, 4)),
        owner("NormalizedLinear", weight=(8, 4)),
        owner("LinearNorm", nn.Linear, (4, 3)),
    ],
    ids=lambda module: type(module).__name__,
)
def test_a_class_that_only_mentions_a_norm_is_none(module):
    name, reason = next(iter(decay_reasons(module).items()))
    assert name.startswith("weight")
    assert reason.decays


RAW = [
    # biases of positions
    ("relative_position_bias_table", (169, 4), False, OF_POSITIONS),
    ("rel_pos_x_bias", (12, 64), False, OF_POSITIONS),
    ("pos_bias_u", (4, 16), False, OF_POSITIONS),
    ("attention_biases", (8, 49), False, OF_POSITIONS),
    # biases
    ("gate_up_proj_bias", (8, 6), False, BIAS),
    ("bias_k", (2, 4), False, BIAS),
    ("e_score_correction_bias", (2, 64), False, BIAS),
    ("biases", (2, 4), False, BIAS),
    ("unbiased", (2, 4), True, MATRIX),
    # positions
    ("pos_embed", (1, 197, 8), False, "position"),
    ("posemb", (197, 8), False, "position"),
    ("position_embedding", (197, 8), False, "position"),
    ("positional_embedding", (197, 8), False, "position"),
    ("positions", (197, 8), False, "position"),
    ("wpe", (197, 8), False, "position"),
    ("rel_pos_h", (27, 8), False, "position"),
    ("patchPos", (27, 8), False, "position"),
    ("positionwise_in", (27, 8), True, MATRIX),
    ("composition", (27, 8), True, MATRIX),
    # tokens
    ("cls_token", (1, 1, 8), False, "token"),
    ("reg_token", (1, 4, 8), False, "token"),
    ("query_tokens", (1, 32, 8), False, "token"),
    ("cls_token_1", (2, 8), False, "token"),
    ("mask_token2", (2, 8), False, "token"),
    *((f"token_{word}", (50, 8), True, MATRIX) for word in ("emb", "embed", "embedding", "embeddings")),
    # scales
    ("temperature", (8, 1, 1), False, SCALE),
    ("logit_scale", (), False, SCALE),
    ("layer_scale_1", (16, 1, 1), False, SCALE),
    ("scale", (4, 8), False, SCALE),
    ("scaling", (4, 8), False, SCALE),
    ("shift", (4, 8), False, SCALE),
    ("gamma_2", (4, 8), False, SCALE),
    ("gain", (4, 8), False, SCALE),
    *((f"scale_{word}", (50, 8), True, MATRIX) for word in ("kernel", "proj", "projection", "weight")),
    # rates
    ("A_log", (16, 4), False, "rate of a recurrence"),
    ("A_logs", (16, 4), False, "rate of a recurrence"),
    ("time_decay", (4, 8), False, "rate of a recurrence"),
    ("logit_table", (4, 8), True, MATRIX),
    ("D", (4, 8), True, MATRIX),
    # shapes
    ("latent", (1, 1, 8), False, VECTOR),
    ("sinks", (8,), False, VECTOR),
    ("one", (1,), False, VECTOR),
    ("nothing", (0, 1), False, VECTOR),
    ("experts", (2, 3, 4), True, MATRIX),
    ("router", (2, 3), True, MATRIX),
]


@pytest.mark.parametrize(("name", "shape", "decays", "why"), RAW, ids=[case[0] for case in RAW])
def test_a_parameter_of_a_foreign_module_is_judged_by_its_name_then_by_its_shape(name, shape, decays, why):
    reason = decay_reasons(owner("Attention", **{name: shape}))[name]
    assert reason == Reason(decays, why, "argument" if why == BIAS else "convention")


@pytest.mark.parametrize(
    ("path", "module", "decays", "why"),
    [
        ("transformer.wpe", nn.Embedding(9, 4), False, "position"),
        ("decoder.embed_positions", nn.Embedding(9, 4), False, "position"),
        ("image_position_embed.column_embeddings", nn.Embedding(9, 4), False, "position"),
        ("encoder.embed", owner("LearnedPositionalEmbedding", nn.Embedding, (9, 4)), False, "position"),
        ("encoder.table", owner("PositionalEncoding", weight=(9, 4)), False, "position"),
        ("attention.pos_embed", owner("PosEmbedRel", weight=(9, 4)), False, "position"),
        ("embeddings.position_embeddings", nn.ParameterList([torch.ones(64, 8)]), False, "position"),
        ("position_net.a.b", owner("Deep", weight=(9, 4)), True, MATRIX),
        ("position.0.1.b", owner("Numbered", weight=(9, 4)), False, "position"),
        ("feed_forward", owner("PositionwiseFeedForward", weight=(9, 4)), True, MATRIX),
        ("attention.linear_pos", nn.Linear(4, 3, bias=False), True, "weight of Linear"),
        ("pos_conv_embed", nn.Conv1d(4, 3, 2, bias=False), True, "weight of Conv1d"),
        ("block.relative_attention_bias", nn.Embedding(9, 4), False, OF_POSITIONS),
        ("encoder.rel_pos_x_bias", nn.Linear(9, 4, bias=False), False, OF_POSITIONS),
        ("attn.cpb_mlp.0", nn.Linear(2, 9, bias=False), False, OF_POSITIONS),
        ("continuous_position_bias_mlp.0", nn.Linear(2, 9, bias=False), False, OF_POSITIONS),
        ("attention.bias_net", nn.Linear(2, 9, bias=False), True, "weight of Linear"),
        ("decoder.embed_tokens", nn.Embedding(9, 4), True, "rows of Embedding"),
        ("bert.token", nn.Embedding(9, 4), True, "rows of Embedding"),
        ("norm.scale", nn.Embedding(9, 4), True, "rows of Embedding"),
        ("biases", nn.ParameterList([torch.ones(2, 4)]), False, BIAS),
        (
            "conv",
            owner("ScaledStdConv2d", nn.Conv2d, (3, 4, 1), gain=(4, 3, 1, 1), bias=(4, 1)),
            False,
            SCALE,
        ),
        ("embed_tokens", owner("Scaled", nn.Embedding, (9, 4), eoi_embedding=(4,)), False, VECTOR),
        ("quantized", owner("QuantLinear", nn.Linear, (4, 3), weight_scale=(3, 2)), True, MATRIX),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_parameter_is_judged_by_the_modules_around_it(path, module, decays, why):
    name, reason = list(decay_reasons(at(path, module)).items())[-1]
    assert name.startswith(path)
    assert (reason.decays, reason.why) == (decays, why)


def test_the_skip_of_a_state_space_model_is_free_and_another_matrix_of_that_name_is_not():
    reasons = decay_reasons(owner("ZambaMambaMixer", A_log=(2, 16, 4), D=(2, 16), x_proj_weight=(2, 3, 16)))
    assert [reason.decays for reason in reasons.values()] == [False, False, True]
    assert reasons["D"] == Reason(False, "skip of a state-space model", "convention")


def test_what_its_author_marked_is_free():
    module = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    module[0].weight._no_weight_decay = True
    module[1].weight._no_weight_decay = False
    assert decay_reasons(module)["0.weight"] == Reason(False, "_no_weight_decay", "mark")
    assert decay_reasons(module)["1.weight"].decays


class Marked(nn.Module):
    """As in timm: names relative to the module, perhaps of parameters that are not there."""

    def __init__(self, *names):
        super().__init__()
        self.names = names
        self.first, self.second = nn.Linear(4, 3), nn.Linear(3, 2)

    def no_weight_decay(self):
        return {*self.names, "nowhere"}


@pytest.mark.parametrize(
    ("names", "decayed"),
    [
        ((), {"first.weight", "second.weight"}),
        (("first.weight",), {"second.weight"}),
        (("first.*",), {"second.weight"}),
        (("*.weight",), set()),
        (("weight", "model.first.weight", "first"), {"first.weight", "second.weight"}),
    ],
)
@pytest.mark.parametrize("path", [None, "model", "student.model", "_orig_mod"])
def test_what_a_module_says_of_its_own_parameters_is_heard(names, decayed, path):
    module = Marked(*names) if path is None else at(path, Marked(*names))
    reasons = decay_reasons(module)
    prefix = "" if path is None else f"{path}."
    assert {name for name, reason in reasons.items() if reason.decays} == {prefix + name for name in decayed}
    for name, reason in reasons.items():
        if "weight" in name and not reason.decays:
            assert reason == Reason(False, "no_weight_decay() of Marked", "mark")


@pytest.mark.parametrize("wrapper", ["_checkpoint_wrapped_module", "_fsdp_wrapped_module", "_orig_mod"])
def test_a_wrapper_inside_is_no_part_of_a_name(wrapper):
    module = Marked("second.weight")
    module.second = at(wrapper, module.second)
    module.rel_pos = at(f"table.{wrapper}.a.{wrapper}", owner("Table", weight=(9, 4)))
    reasons = decay_reasons(module)
    assert reasons[f"second.{wrapper}.weight"].basis == "mark"
    assert reasons[f"rel_pos.table.{wrapper}.a.{wrapper}.weight"].decays
    assert not decay_reasons(at(f"rel_pos.{wrapper}.a", owner("Table", weight=(9, 4)))).popitem()[1].decays


@pytest.mark.parametrize("names", ["first.weight", ["first.weight"], {"first.weight": 1}])
@pytest.mark.parametrize("is_method", [True, False])
def test_names_that_are_not_decayed_may_come_in_any_container(names, is_method):
    module = Marked()
    module.no_weight_decay = (lambda: names) if is_method else names
    assert not decay_reasons(module)["first.weight"].decays
    assert decay_reasons(module)["second.weight"].decays


@pytest.mark.parametrize("names", [None, True, [3], [None]])
def test_a_module_that_says_no_names_is_named(names):
    module = Marked()
    module.no_weight_decay = lambda: names
    with pytest.raises(TypeError, match=r"^module: no_weight_decay\(\) of Marked: "):
        decay_groups(module, 0.1)


def test_decays_is_asked_first_and_none_leaves_it_to_the_rule():
    module = Marked("first.weight")
    answers = {"first.weight": True, "second.weight": False, "second.bias": True}
    reasons = decay_reasons(module, decays=lambda name, parameter: answers.get(name))
    assert reasons == {
        "first.weight": Reason(True, "answer of decays", "choice"),
        "first.bias": Reason(False, BIAS, "argument"),
        "second.weight": Reason(False, "answer of decays", "choice"),
        "second.bias": Reason(True, "answer of decays", "choice"),
    }


def test_groups_hold_what_the_reasons_say():
    module = nn.ModuleDict({"net": network(), "marked": Marked("first.weight")})
    reasons = decay_reasons(module)
    decayed, free = decay_groups(module, 0.1)
    assert names_in(module, decayed) == {name for name, reason in reasons.items() if reason.decays}
    assert names_in(module, free) == {name for name, reason in reasons.items() if not reason.decays}


@pytest.mark.parametrize(
    ("parametrize", "expected"),
    [
        (nn.utils.parametrizations.weight_norm, {"weight.original0": True, "weight.original1": True}),
        (nn.utils.parametrizations.orthogonal, {"weight.original": True}),
        (nn.utils.parametrizations.spectral_norm, {"weight.original": True}),
    ],
)
@pytest.mark.parametrize("path", [None, "decoder.0"])
def test_a_parametrized_weight_is_judged_as_the_weight_that_it_makes(parametrize, expected, path):
    module = parametrize(nn.Linear(4, 4))
    module = module if path is None else at(path, module)
    prefix = "" if path is None else f"{path}."
    found = {name: reason.decays for name, reason in decay_reasons(module).items()}
    assert found == {f"{prefix}bias": False} | {
        f"{prefix}parametrizations.{name}": decays for name, decays in expected.items()
    }


def test_a_parametrized_gain_is_judged_as_a_gain_and_a_parametrized_bias_as_a_bias():
    module = nn.LayerNorm([2, 3])
    for name in ("weight", "bias"):
        nn.utils.parametrize.register_parametrization(module, name, nn.Softplus())
    assert [reason.why for reason in decay_reasons(module).values()] == [NORM, BIAS]


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_the_old_ways_to_parametrize_a_weight_are_known():
    lstm = nn.utils.weight_norm(nn.LSTM(1, 1, bidirectional=True), "weight_hh_l0_reverse")
    for module in (
        nn.utils.weight_norm(nn.Linear(4, 1)),
        nn.utils.spectral_norm(nn.Linear(4, 1)),
        prune.identity(nn.Linear(4, 1), "weight"),
        prune.identity(nn.Linear(4, 1), "bias"),
        lstm,
    ):
        for name, reason in decay_reasons(module).items():
            assert reason.decays == ("weight" in name), name


def test_tied_parameters_are_free_if_one_of_their_owners_leaves_them_free():
    for path in ("position", "other"):
        module = nn.ModuleDict({"decoder": nn.Linear(4, 9, bias=False), path: nn.Embedding(9, 4)})
        module[path].weight = module["decoder"].weight
        assert {name: reason.decays for name, reason in decay_reasons(module).items()} == {
            "decoder.weight": path == "other"
        }


def test_a_parameter_of_two_names_in_one_module_is_free_if_one_of_them_says_so():
    module = owner("Attention", first=(4, 8))
    module.second_bias = module.first
    assert decay_reasons(module) == {"first": Reason(False, BIAS, "argument")}
    marked = Marked("second.weight")
    marked.second.weight = marked.first.weight
    assert decay_reasons(marked)["first.weight"].basis == "mark"


def test_a_lazy_parameter_has_no_group_before_the_first_forward_pass():
    module = nn.Sequential(nn.Linear(2, 3), nn.LazyLinear(1))
    with pytest.raises(
        ValueError, match=r"^module has no shape for '1\.weight' yet: run a forward pass first$"
    ):
        decay_groups(module, 0.1)
    module(torch.ones(1, 2))
    assert decay_reasons(module)["0.weight"].decays


def flat(module):
    """Make each parameter a vector, as sharding does."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            setattr(part, name, nn.Parameter(parameter.detach().flatten()))
    return module


def test_what_was_flattened_is_judged_as_before_or_refused():
    """Only what nothing but its shape can say has no answer any more."""
    known = {
        "net": network(),
        "norm": owner("LlamaRMSNorm", weight=(2, 4)),
        "experts": owner("Experts", down_proj_bias=(2, 4), cls_token=(2, 4), pos_embed=(2, 4), A_log=(2, 4)),
    }
    module = nn.ModuleDict(known)
    before = decay_reasons(module)
    assert decay_reasons(flat(module)) == before
    module["conv1d"] = owner("Conv1D", weight=(12,))
    message = (
        r"^module was flattened, and 'conv1d\.weight' does not show its shape any more: "
        r"make the groups before FSDP wraps it, with use_orig_params=True$"
    )
    with pytest.raises(ValueError, match=message):
        decay_groups(module, 0.1)
    groups = decay_groups(module, 0.1, decays=lambda name, parameter: True if "conv1d" in name else None)
    assert groups[0]["params"][-1] is module["conv1d"].weight


def test_an_embedding_shows_that_a_module_was_flattened():
    with pytest.raises(ValueError, match=r"^module was flattened, and 'conv1d"):
        decay_groups(
            flat(nn.ModuleDict({"a": nn.Embedding(3, 4), "conv1d": owner("Conv1D", weight=(3, 4))})), 0.1
        )


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_a_weight_norm_of_one_length_shows_nothing_of_the_kind():
    module = at("a", nn.utils.weight_norm(nn.Linear(4, 1), dim=None))
    module.register_parameter("latent", nn.Parameter(torch.ones(1, 4)))
    assert decay_reasons(module)["latent"].why == VECTOR


@pytest.fixture
def fsdp():
    """Yield torch's FullyShardedDataParallel, as the first of two processes that share nothing but a name."""
    fake_pg = pytest.importorskip("torch.testing._internal.distributed.fake_pg")
    from torch.distributed.fsdp import FullyShardedDataParallel

    torch.distributed.init_process_group("fake", rank=0, world_size=2, store=fake_pg.FakeStore())
    yield partial(FullyShardedDataParallel, device_id=torch.device("cpu"))
    torch.distributed.destroy_process_group()


def test_under_fsdp_with_its_original_parameters_weights_are_still_known(fsdp):
    module = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    groups, before = decay_groups(module, 0.1), list(decay_reasons(module).values())
    wrapped = fsdp(nn.Sequential(fsdp(module, use_orig_params=True)), use_orig_params=True)
    assert {p.ndim for p in wrapped.parameters()} == {1}
    assert list(decay_reasons(wrapped).values()) == before
    for group, again in zip(groups, decay_groups(wrapped, 0.1), strict=True):
        assert all(p is q for p, q in zip(group["params"], again["params"], strict=True))


def test_under_fsdp_without_them_there_are_no_groups(fsdp):
    with pytest.raises(
        ValueError, match=r"^module was flattened, many parameters into '\w+\._flat_param': make the"
    ):
        decay_groups(fsdp(nn.Sequential(nn.Linear(2, 1))), 0.1)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_module_is_refused():
    with pytest.raises(
        ValueError, match=r"^module was scripted, which hides its classes: make the groups before$"
    ):
        decay_groups(nn.Sequential(torch.jit.script(nn.Linear(2, 1))), 0.1)


@pytest.mark.parametrize("dim", [0, None])
def test_decaying_the_lengths_of_a_weight_norm_is_decaying_the_weight(dim):
    """So they are no gains to be left free."""
    module = nn.utils.parametrizations.weight_norm(nn.Linear(5, 3, bias=False, dtype=torch.float64), dim=dim)
    length = module.parametrizations.weight.original0
    with torch.no_grad():
        length.mul_(-1.7)
    torch.testing.assert_close(length.square().sum(), module.weight.square().sum(), rtol=1e-14, atol=0)


def test_a_free_gain_can_undo_the_decay_of_the_weight_behind_it():
    torch.manual_seed(0)
    module = nn.Sequential(nn.LayerNorm(4, bias=False), nn.Linear(4, 3)).double()
    x = torch.randn(6, 4, dtype=torch.float64)
    y = module(x)
    decayed, free = decay_groups(module, 0.1)
    penalty = l2_penalty(decayed["params"], 0.1)
    with torch.no_grad():
        module[0].weight *= 100
        module[1].weight /= 100
    assert free["params"][0] is module[0].weight
    torch.testing.assert_close(module(x), y, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(l2_penalty(decayed["params"], 0.1), penalty / 1e4, rtol=1e-12, atol=0)


def test_groups_carry_the_weight_decay_unchanged_and_zero():
    assert [group["weight_decay"] for group in decay_groups(Perceptron(), 0.2)] == [0.2, 0.0]


def test_every_trainable_parameter_is_in_exactly_one_group():
    module = network()
    held = [id(p) for group in decay_groups(module, 0.1) for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in module.parameters())


def test_frozen_parameters_are_left_out():
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    module[0].requires_grad_(False)
    decayed, free = decay_groups(module, 0.1)
    assert names_in(module, decayed) == {"1.weight"}
    assert names_in(module, free) == {"1.bias"}


def test_tied_parameters_appear_once():
    module = nn.ModuleDict({"encoder": nn.Embedding(7, 3), "decoder": nn.Linear(3, 7)})
    module["decoder"].weight = module["encoder"].weight
    decayed, free = decay_groups(module, 0.1)
    assert len(decayed["params"]) == 1
    assert decayed["params"][0] is module["encoder"].weight
    assert free["params"] == [module["decoder"].bias]


def test_decays_chooses_by_name_and_parameter():
    module = network()
    decayed, free = decay_groups(module, 0.1, decays=lambda name, p: name.endswith("bias") or p.ndim == 4)
    assert names_in(module, decayed) == {
        "conv.weight",
        *(f"{part}.bias" for part in ("conv", "batch", "layer", "group", "linear")),
    }
    assert names_in(module, free) == {
        f"{part}.weight" for part in ("embedding", "batch", "layer", "group", "linear")
    }


def test_an_answer_that_is_neither_true_nor_false_is_named():
    with pytest.raises(
        TypeError, match=r"^decays: the answer for 'weight', unless None, must be True or False, got 3$"
    ):
        decay_groups(nn.Linear(2, 1), 0.1, decays=lambda name, parameter: 3)


def test_a_group_without_parameters_is_left_out():
    assert [g["weight_decay"] for g in decay_groups(nn.Linear(2, 1, bias=False), 0.3)] == [0.3]
    assert [g["weight_decay"] for g in decay_groups(nn.LayerNorm(3), 0.3)] == [0.0]


def test_groups_follow_the_order_of_the_parameters():
    module = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(2, 1))
    decayed, free = decay_groups(module, 0.1)
    assert all(held is layer.weight for held, layer in zip(decayed["params"], module, strict=True))
    assert all(held is layer.bias for held, layer in zip(free["params"], module, strict=True))


def test_training_with_the_groups_equals_half_lambda_norm_squared_in_the_loss():
    X, y = separable(20, 3, seed=1)
    decay, options = 0.3, {"lr": 0.1, "momentum": 0.9}
    grouped, explicit = Perceptron(3, dtype=torch.float64), Perceptron(3, dtype=torch.float64)
    by_groups = torch.optim.SGD(decay_groups(grouped, decay), **options)
    by_loss = torch.optim.SGD(explicit.parameters(), **options)
    for _ in range(200):
        by_groups.zero_grad()
        F.binary_cross_entropy(grouped(X), y).backward()
        by_groups.step()
        by_loss.zero_grad()
        penalty = decay / 2 * explicit.linear.weight.square().sum()
        (F.binary_cross_entropy(explicit(X), y) + penalty).backward()
        by_loss.step()
        for p, q in zip(grouped.parameters(), explicit.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=1e-12)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0, 2.5])
def test_soft_threshold_minimizes_its_proximal_objective(threshold):
    """A function of curvature 1 lies above its value at the minimizer by half the squared distance."""
    x, z = X_GRID[:, None], torch.linspace(-8, 8, 1601, dtype=torch.float64)

    def objective(z):
        return threshold * z.abs() + (z - x) ** 2 / 2

    found = soft_threshold(x, threshold)
    assert (objective(z) >= objective(found) + (z - found) ** 2 / 2 - 1e-12).all()


def test_soft_threshold_is_exactly_zero_up_to_the_threshold_and_nowhere_else():
    threshold = 0.7
    x = torch.tensor([-0.7, -0.69, 0.0, 0.2, 0.7], dtype=torch.float64)
    assert (soft_threshold(x, threshold) == 0).all()
    outside = torch.tensor([-0.7000001, 0.7000001, 4.0], dtype=torch.float64)
    moved = soft_threshold(outside, threshold)
    assert moved.sign().tolist() == [-1.0, 1.0, 1.0]
    torch.testing.assert_close(outside - moved, threshold * outside.sign(), rtol=0, atol=1e-15)


def test_soft_threshold_of_zero_changes_nothing():
    assert torch.equal(soft_threshold(X_GRID, 0.0), X_GRID)


def test_soft_threshold_is_non_expansive():
    moved = soft_threshold(X_GRID, 1.3)
    assert ((moved[:, None] - moved).abs() <= (X_GRID[:, None] - X_GRID).abs() + 1e-15).all()


def test_soft_threshold_has_slope_one_outside_and_zero_inside():
    x = torch.tensor([-3.0, -0.5, 0.4, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: soft_threshold(x, 1.0), x)
    (slope,) = torch.autograd.grad(soft_threshold(x, 1.0).sum(), x)
    assert slope.tolist() == [1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 4)])
def test_soft_threshold_keeps_shape_and_dtype(shape):
    for dtype in (torch.float16, torch.float32, torch.float64):
        moved = soft_threshold(torch.ones(shape, dtype=dtype), 0.25)
        assert torch.equal(moved, torch.full(shape, 0.75, dtype=dtype))


def test_gradient_step_then_soft_threshold_of_lr_times_lambda_stays_at_the_l1_optimum():
    X, y = separable(30, 5, seed=2)
    lr, decay = 0.7, 0.05
    weight, bias = logistic_optimum(X, y, decay, penalty="l1")
    assert (weight == 0).any()
    assert (weight != 0).any()
    weight.requires_grad_()
    (slope,) = torch.autograd.grad(F.binary_cross_entropy_with_logits(X @ weight + bias, y), weight)
    moved = soft_threshold(weight.detach() - lr * slope, lr * decay)
    torch.testing.assert_close(moved, weight.detach(), rtol=0, atol=1e-12)


VALUES = [torch.tensor([1.0, -1.5, 0.0], dtype=torch.float64), torch.tensor([[2.0]], dtype=torch.float64)]


def leaves():
    return [value.clone().requires_grad_() for value in VALUES]


@pytest.mark.parametrize("weight_decay", [0.0, 0.2, 3])
@pytest.mark.parametrize(
    ("penalty", "value", "slope"),
    [
        (l2_penalty, (1 + 1.5**2 + 2**2) / 2, lambda p: p),
        (l1_penalty, 1 + 1.5 + 2, torch.sign),
    ],
)
def test_value_and_gradient_of_a_penalty_by_hand(penalty, value, slope, weight_decay):
    """The gradient of L1 at 0 is 0."""
    parameters = leaves()
    found = penalty(parameters, weight_decay)
    assert found.shape == ()
    assert found.item() == pytest.approx(weight_decay * value, rel=1e-15)
    found.backward()
    for parameter, start in zip(parameters, VALUES, strict=True):
        assert torch.equal(parameter.grad, weight_decay * slope(start))
        assert torch.equal(parameter.detach(), start)


@pytest.mark.parametrize("penalty", [l1_penalty, l2_penalty])
def test_a_penalty_takes_a_tensor_a_sequence_or_a_generator(penalty):
    weight, bias = VALUES
    expected = penalty(weight, 0.3) + penalty(bias, 0.3)
    for parameters in (
        VALUES,
        tuple(VALUES),
        iter(VALUES),
        (p for p in VALUES),
        {"w": weight, "b": bias}.values(),
    ):
        torch.testing.assert_close(penalty(parameters, 0.3), expected, rtol=1e-15, atol=0)
    model = nn.Linear(3, 2)
    both = penalty(model.weight, 0.3) + penalty(model.bias, 0.3)
    torch.testing.assert_close(penalty(model.parameters(), 0.3), both)
    assert penalty(torch.tensor(-2.0), 0.5).item() == 1.0


@pytest.mark.parametrize("penalty", [l1_penalty, l2_penalty])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_penalty_has_the_dtype_of_the_parameters(penalty, dtype):
    assert penalty([value.to(dtype) for value in VALUES], 0.5).dtype == dtype


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}], ids=str)
def test_descending_the_l2_penalty_is_torchs_weight_decay(settings):
    X, y = separable(20, 3, seed=1)
    coupled, explicit = Perceptron(3, dtype=torch.float64), Perceptron(3, dtype=torch.float64)
    by_torch = torch.optim.SGD(coupled.parameters(), lr=0.3, weight_decay=0.2, **settings)
    by_penalty = torch.optim.SGD(explicit.parameters(), lr=0.3, **settings)
    for _ in range(100):
        by_torch.zero_grad()
        F.binary_cross_entropy(coupled(X), y).backward()
        by_torch.step()
        by_penalty.zero_grad()
        (F.binary_cross_entropy(explicit(X), y) + l2_penalty(explicit.parameters(), 0.2)).backward()
        by_penalty.step()
    for p, q in zip(coupled.parameters(), explicit.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-12)


def test_descending_the_l1_penalty_makes_no_exact_zeros():
    weight = nn.Parameter(torch.tensor([0.25, -0.33], dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for _ in range(101):
        optimizer.zero_grad()
        l1_penalty([weight], 1.0).backward()
        optimizer.step()
    assert (weight != 0).all()
    assert (weight.abs() < 0.1).all()


FUNCTIONS = {
    "l1_penalty": lambda w: l1_penalty([w, w[1:] / 2], 0.3),
    "l2_penalty": lambda w: l2_penalty([w, w[1:] / 2], 0.3),
    "soft_threshold": lambda w: soft_threshold(w, 0.5).sum(),
}
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
ROWS = torch.tensor([[1.0, -1.5, 0.0], [0.25, 2.0, -0.25], [3e38, 3e38, 2.0]])
KINDS = pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])


@each_function
@KINDS
def test_values_and_gradients_of_many_at_once_are_those_of_each(function, dtype):
    """By vmap, and one row overflows on the way."""
    rows, vmap, grad = ROWS.to(dtype), torch.func.vmap, torch.func.grad
    assert torch.equal(vmap(function)(rows), torch.stack([function(row) for row in rows]))
    if dtype.is_complex:  # torch.func.grad is for real numbers
        return
    assert torch.equal(vmap(grad(function))(rows), torch.stack([grad(function)(row) for row in rows]))
    hessian = torch.func.jacrev(grad(function))
    assert torch.equal(vmap(hessian)(rows), torch.stack([hessian(row) for row in rows]))


@each_function
@KINDS
@pytest.mark.parametrize("row", [0, 2])
def test_compiling_in_one_piece_changes_neither_value_nor_gradient(function, dtype, row):
    torch._dynamo.reset()
    weight, twin = (ROWS[row].to(dtype).requires_grad_() for _ in range(2))
    found, expected = torch.compile(function, fullgraph=True, backend="aot_eager")(twin), function(weight)
    assert torch.equal(found, expected)
    if not dtype.is_complex:
        expected.backward()
        found.backward()
        assert torch.equal(twin.grad, weight.grad)


def test_compiling_takes_another_strength_each_time():
    torch._dynamo.reset()
    compiled = torch.compile(l2_penalty, fullgraph=True, backend="eager")
    for weight_decay in (0.1, 0.3, 0.0, 2.0):
        assert torch.equal(compiled(ROWS[:2], weight_decay), l2_penalty(ROWS[:2], weight_decay))


def test_the_parameters_of_a_model_compile_with_its_loss():
    torch._dynamo.reset()
    model, X = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)), torch.ones(4, 3)

    def objective():
        return (
            model(X).square().mean() + l2_penalty(model.parameters(), 0.1) + l1_penalty(model[0].weight, 0.2)
        )

    assert torch.equal(torch.compile(objective, fullgraph=True, backend="eager")(), objective())


@pytest.mark.parametrize("penalty", [l1_penalty, l2_penalty])
def test_what_has_no_entries_adds_nothing(penalty):
    empty = torch.ones(0, 3, requires_grad=True)
    assert torch.equal(penalty([*VALUES, empty], 0.3), penalty(VALUES, 0.3))
    alone = penalty(empty, 0.3)
    alone.backward()
    assert (alone.item(), empty.grad.shape) == (0.0, (0, 3))
    assert soft_threshold(empty, 0.3).shape == (0, 3)


COMPLEX = torch.tensor([[3 + 4j, -1j, 0], [2, 0.6 - 0.8j, 1e-3 + 1e-3j]], dtype=torch.complex128)


def pairs(z):
    """Its real and imaginary parts as a leaf of their own."""
    return torch.view_as_real(z).clone().requires_grad_()


@pytest.mark.parametrize(
    ("function", "of_pairs"),
    [
        (lambda z: l2_penalty(z, 0.3), lambda p: l2_penalty(p, 0.3)),
        (lambda z: l1_penalty(z, 0.3), lambda p: 0.3 * torch.linalg.vector_norm(p, dim=-1).sum()),
        (lambda z: l2_penalty([z.conj(), z.real], 0.3), lambda p: l2_penalty([p, p[..., 0]], 0.3)),
    ],
)
def test_the_penalty_of_complex_parameters_is_that_of_their_absolute_values(function, of_pairs):
    """With torch's gradient: what its real and imaginary parts get."""
    z, parts = COMPLEX.clone().requires_grad_(), pairs(COMPLEX)
    found, expected = function(z), of_pairs(parts)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-15, atol=0)
    found.backward()
    expected.backward()
    torch.testing.assert_close(torch.view_as_real(z.grad), parts.grad, rtol=1e-14, atol=0)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_descending_the_l2_penalty_of_complex_parameters_is_torchs_weight_decay(momentum):
    coupled, explicit = (nn.Parameter(COMPLEX.clone()) for _ in range(2))
    by_torch = torch.optim.SGD([coupled], lr=0.3, momentum=momentum, weight_decay=0.2)
    by_penalty = torch.optim.SGD([explicit], lr=0.3, momentum=momentum)
    for _ in range(50):
        coupled.grad = torch.zeros_like(coupled)
        by_torch.step()
        by_penalty.zero_grad()
        l2_penalty(explicit, 0.2).backward()
        by_penalty.step()
    torch.testing.assert_close(coupled, explicit, rtol=0, atol=1e-14)


@pytest.mark.parametrize("threshold", [0.0, 1e-320, 0.7, 1.0, 4.5, 5.0])
def test_soft_threshold_moves_complex_values_along_their_own_direction(threshold):
    """As it would the vectors of their real and imaginary parts: the proximal map of their norm."""
    z = COMPLEX.clone().requires_grad_()
    moved = soft_threshold(z, threshold)
    size = COMPLEX.abs()
    torch.testing.assert_close(moved.abs(), soft_threshold(size, threshold), rtol=1e-15, atol=1e-15)
    torch.testing.assert_close(moved * size, COMPLEX * moved.abs(), rtol=1e-14, atol=1e-15)
    assert torch.equal(moved == 0, size <= threshold)
    moved.abs().square().sum().backward()
    assert z.grad.isfinite().all()
    assert torch.equal(z.grad == 0, size <= threshold)


@pytest.mark.parametrize("shift", [1e-3, 1.0])
def test_soft_threshold_of_complex_values_minimizes_its_proximal_objective(shift):
    found, threshold = soft_threshold(COMPLEX, 0.7), 0.7

    def objective(z):
        return threshold * z.abs() + (z - COMPLEX).abs() ** 2 / 2

    for direction in (1, -1, 1j, -1j, 0.6 + 0.8j):
        assert (objective(found + shift * direction) >= objective(found) + shift**2 / 2 - 1e-12).all()


@pytest.mark.parametrize("penalty", [l1_penalty, l2_penalty])
@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        (None, TypeError, "parameters must be tensors, got None"),
        (1.0, TypeError, r"parameters must be tensors, got 1\.0"),
        (nn.Linear(2, 1), TypeError, r"parameters must be tensors, got Linear\("),
        (
            list(nn.Linear(2, 1).named_parameters()),
            TypeError,
            r"parameters must be tensors, got \('weight', ",
        ),
        ([], ValueError, "parameters must not be empty"),
        ([torch.ones(2), torch.tensor([float("nan")])], ValueError, "parameters must be finite"),
    ],
)
def test_a_penalty_on_no_tensors_is_refused(penalty, parameters, error, match):
    with pytest.raises(error, match=match):
        penalty(parameters, 0.1)


@pytest.mark.parametrize(
    ("penalty", "parameters", "weight_decay", "value", "slope"),
    [
        (l1_penalty, [3e38, -3e38], 0.1, 6e37, [0.1, -0.1]),
        (l2_penalty, [1e20, -2e20], 2e-10, 5e30, [2e10, -4e10]),
    ],
)
def test_a_penalty_that_overflows_only_on_the_way_is_right(penalty, parameters, weight_decay, value, slope):
    parameters = [torch.tensor(parameters, requires_grad=True), torch.zeros(1)]
    found = penalty(parameters, weight_decay)
    found.backward()
    assert found.item() == pytest.approx(value, rel=1e-6)
    torch.testing.assert_close(parameters[0].grad, torch.tensor(slope))
