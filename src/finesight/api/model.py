# SPDX-License-Identifier: Apache-2.0
"""A model with its processor: ask, locate, answer, respond, stream, logits, score.

`ask`, `locate` and `answer` build a `Request`, run it in the engine and parse the reply. Use
`Model.respond` to answer many conversations in one call.

Legend: L tokens of a conversation, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Unpack

import torch
from torch import Tensor

from finesight.api.adapters import AdapterSources, adapter_folders
from finesight.api.checkpoints import (
    GenerationDefaults,
    find_checkpoint,
    read_generation_defaults,
)
from finesight.api.conversations import Messages, as_conversation, as_conversations
from finesight.api.network import (
    checked_dtype,
    checked_vision_weights,
    checked_weights,
    load_network,
    load_processor,
)
from finesight.api.options import (
    AskOptions,
    SamplingOptions,
    checked_options,
    conversation_from,
    sampling_from,
    sampling_of,
)
from finesight.api.sources import media_parts
from finesight.apps.grounding.prompts import locate_question
from finesight.batch import EncodedSample, pack
from finesight.checkpoints.adapters import load_adapters
from finesight.checkpoints.hub import Hub
from finesight.conversation import Conversation, Reply, Sampling
from finesight.engine.engine import Engine
from finesight.engine.options import EngineOptions
from finesight.engine.request import OnStage, Request, no_progress
from finesight.engine.runner import check_length
from finesight.engine.worker import Ticket
from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.media.fetch import FetchPolicy
from finesight.model.adapters import Adapter, check_adapter
from finesight.model.device import checked_device
from finesight.model.packed import VisionWeights
from finesight.model.quantised_gpu import GpuWeights
from finesight.model.vl import VisionLanguageModel
from finesight.parse.answer import Answer, read_answer
from finesight.processor.processor import Processor
from finesight.threads import warn_if_spinning

if TYPE_CHECKING:
    from finesight.api.sources import ImageSource, PdfSource, VideoSource


class Model:
    """A network, its processor and its answering defaults. Made by `load` or `open_model`.

    Args:
        name: its name in records and reports.
        load_weights: returns the network; called at its first use.
        processor: of the same checkpoint.
        generation: the checkpoint's sampling defaults and end tokens.
        engine: batch size, memory and caches.
        on_stage: progress callback `(stage, done, total)`.
        adapters: LoRA adapters that a question may name; the attribute has their names.
    """

    def __init__(
        self,
        name: str,
        load_weights: Callable[[], VisionLanguageModel],
        processor: Processor,
        generation: GenerationDefaults,
        *,
        engine: EngineOptions = EngineOptions(),  # noqa: B008  # immutable
        on_stage: OnStage = no_progress,
        adapters: Sequence[Adapter] = (),
    ) -> None:
        self.name = name
        self.adapters = tuple(each.name for each in adapters)
        self._adapters = adapters
        self.processor = processor
        self.generation = generation
        self._engine_options = engine
        self._load_weights = load_weights
        self._on_stage = on_stage

    @cached_property
    def network(self) -> VisionLanguageModel:
        """The network with its weights, loaded at the first use."""
        self._on_stage("load", 0, 1)
        network = self._load_weights()
        self._on_stage("load", 1, 1)
        return network

    @cached_property
    def engine(self) -> Engine:
        """Answers requests with the network; loads its weights at the first use."""
        return Engine(
            self.network,
            self.processor,
            eos_ids=self.generation.eos_ids,
            options=self._engine_options,
            on_stage=self._on_stage,
            adapters=self._adapters,
        )

    @property
    def defaults(self) -> Sampling:
        """Sampling of the checkpoint, used unless an option overrides it."""
        return self.generation.sampling

    def ask(
        self,
        question: str,
        *,
        images: ImageSource | Sequence[ImageSource] = (),
        videos: VideoSource | Sequence[VideoSource] = (),
        pdf: PdfSource | Sequence[PdfSource] = (),
        **options: Unpack[AskOptions],
    ) -> Answer:
        """Ask about pictures, videos and PDF pages.

        Args:
            question: the text after the media.
            images: one or a list of paths, URLs, bytes, open files, Pillow images, arrays
                `uint8[H, W, 3]` or `ImagePart`s; a file of several pictures gives its first one,
                `(file, pages)` the others.
            videos: one or a list of paths, URLs, bytes, open files, tuples of frames, arrays
                `uint8[F, H, W, 3]` or `VideoPart`s.
            pdf: one or a list of PDFs, or `(PDF, pages)`; pages as a text count from 1 ("1-3").
            **options: see `AskOptions`.

        Returns:
            The reply, with boxes, points and events in original pixels and source seconds.

        Raises:
            FinesightError: an option or a source is wrong, or the prompt is too long.
        """
        ticket = self.stream(question, images=images, videos=videos, pdf=pdf, **options)
        return read_answer(ticket.reply())

    def locate(
        self,
        phrase: str,
        image: ImageSource | None = None,
        *,
        as_: Literal["box", "point"] = "box",
        all_: bool = False,
        **options: Unpack[AskOptions],
    ) -> Answer:
        """Find what a phrase describes.

        Args:
            phrase: for example "the red square".
            image: one picture, as `ask` takes it.
            as_: ask for boxes or for points.
            all_: ask for every instance; the phrase is then in the singular: "red square".
            **options: see `AskOptions`.

        Raises:
            FinesightError: an option or the picture is wrong.
        """
        question = locate_question(phrase, as_, all_=all_)
        if image is None or "images" in options:
            raise ConfigError(
                "locate takes a single picture, given as image=",
                hint=f'model.locate({shown(phrase)}, "photo.jpg"); ask takes several as images=',
            )
        return self.ask(question, images=[image], **options)

    def answer(
        self,
        conversation: Messages,
        sampling: Sampling | None = None,
        *,
        adapter: str | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Answer:
        """Answer one conversation and parse the reply.

        Args:
            conversation: a `Conversation`, or messages in the format of qwen-vl-utils or OpenAI.
            sampling: None takes the checkpoint's defaults.
            adapter: name of the LoRA adapter that answers; None is the model alone.
            **options: values that override those of `sampling`, see `SamplingOptions`.

        Raises:
            FinesightError: an option, a message or a medium is wrong, or the prompt is too long.
        """
        return read_answer(self.respond([conversation], sampling, adapter=adapter, **options)[0])

    def respond(
        self,
        conversations: Sequence[Messages],
        sampling: Sampling | None = None,
        *,
        adapter: str | None = None,
        **options: Unpack[SamplingOptions],
    ) -> list[Reply]:
        """Answer each conversation; the replies are in the order of the conversations.

        Args:
            conversations: a list of conversations, each as in `answer`.
            sampling: None takes the checkpoint's defaults.
            adapter: as in `answer`.
            **options: values that override those of `sampling`, see `SamplingOptions`.

        Raises:
            FinesightError: see `answer`.
        """
        chosen = sampling_of(sampling, options, self.defaults)
        check_adapter(adapter, self.adapters)
        return self.engine.respond(as_conversations(conversations), chosen, adapter=adapter)

    def stream(
        self,
        question: str,
        *,
        images: ImageSource | Sequence[ImageSource] = (),
        videos: VideoSource | Sequence[VideoSource] = (),
        pdf: PdfSource | Sequence[PdfSource] = (),
        **options: Unpack[AskOptions],
    ) -> Ticket:
        """As `ask`, but returns an iterator over pieces of text; the last event contains the whole reply."""
        options = checked_options(options)
        conversation = conversation_from(question, media_parts(images, videos, pdf), options)
        request = request_from(conversation, options, self.defaults)
        check_adapter(request.adapter, self.adapters)
        sample = request.encode(self.processor, self._on_stage)  # before the weights are loaded
        return self.engine.submit(request, sample)

    def encode(self, messages: Messages, *, add_generation_prompt: bool = True) -> EncodedSample:
        """Token ids, positions and patches of a conversation."""
        return self.processor.encode(
            as_conversation(messages), add_generation_prompt=add_generation_prompt
        )

    @torch.inference_mode()
    def logits(
        self,
        messages: Messages,
        *,
        add_generation_prompt: bool = True,
        adapter: str | None = None,
    ) -> Tensor:
        """Next-token logits at every token of a conversation.

        Args:
            messages: the conversation.
            add_generation_prompt: whether it ends with the opening of an answer.
            adapter: name of a LoRA adapter; None is the model alone.

        Returns:
            float32[L, V], on the CPU.

        Raises:
            PromptTooLong: the conversation exceeds the context.
        """
        sample = self.encode(messages, add_generation_prompt=add_generation_prompt)
        limit = self.network.config.text.max_position_embeddings
        check_length(sample.input_ids.numel(), 0, limit)
        batch = pack([sample]).to(self.network.device)
        rows = [(adapter, sample.input_ids.numel())]
        with nullcontext() if adapter is None else self.engine.adapters.applied(rows):
            return self.network.logits(self.network(batch)).float().cpu()

    def score(
        self, conversations: Sequence[Messages], *, adapter: str | None = None
    ) -> list[list[float]]:
        """Log-probability of each token of the assistant turns."""
        return self.engine.score(as_conversations(conversations), adapter=adapter)


def request_from(conversation: Conversation, options: AskOptions, defaults: Sampling) -> Request:
    """The `Request` for a conversation, with options over the checkpoint's defaults.

    Raises:
        ConfigError: an option is out of range.
    """
    return Request(
        conversation=conversation,
        sampling=sampling_from(options, defaults),
        add_vision_id=options.get("add_vision_id", False),
        fit_tokens=options.get("fit_tokens"),
        adapter=options.get("adapter"),
    )


def load(
    name: str | Path = "tiny",
    *,
    device: str = "auto",
    dtype: str | torch.dtype | None = None,
    weights: GpuWeights | None = None,
    vision_weights: VisionWeights | None = None,
    attention: str = "sdpa",
    hub: Hub | None = None,
    mmproj: str | Path | None = None,
    adapters: AdapterSources | None = None,
    engine: EngineOptions = EngineOptions(),  # noqa: B008  # immutable
    on_stage: OnStage = no_progress,
) -> Model:
    """Load a model.

    Args:
        name: "tiny" (embedded), a checkpoint folder, a GGUF file, a name in Ollama's store such as "qwen2.5vl:7b", or
            a published name such as `Qwen/Qwen2.5-VL-3B-Instruct` or `hf:NAME@REVISION`, which is downloaded if it is
            not in the local cache.
        device: "cpu", "cuda", "cuda:1", ...; "auto" uses cuda if available.
        dtype: of the weights; None takes the checkpoint's.
        weights: "bf16", "int8" or "int4" packs those of the language model for fast answers on a CPU; the last two
            round them. On CUDA "int8", "int4" and "fp8" round them by torchao.
        vision_weights: "int8" rounds those of the vision tower, twice as fast on a CPU; a warning states the change of
            the visual tokens of a drawn picture.
        attention: back end of the attention.
        hub: source of a published name; see `find_checkpoint`.
        mmproj: GGUF file of the vision tower, if `name` is a GGUF file; None takes the one beside it.
        adapters: folders of LoRA adapters in the format of peft, by name or in a list; `adapter=` of a question
            chooses one. In a list, NAME=FOLDER gives a name; else it is that of the folder.
        engine: batch size, memory and caches.
        on_stage: progress callback `(stage, done, total)`.

    Raises:
        WeightsError: there is no such model, or it is not complete.
        ConfigError: a file of the checkpoint, the device or the dtype is wrong.
    """
    if not isinstance(name, (str, PathLike)):
        raise ConfigError(f"the name of the model is {shown(name)}", hint='"tiny", or a folder')
    folder = find_checkpoint(name, hub=hub, mmproj=mmproj)
    model = open_model(
        str(name),
        folder,
        device=device,
        dtype=dtype,
        weights=weights,
        vision_weights=vision_weights,
        attention=attention,
        adapters=adapter_folders(adapters),
        engine=engine,
        on_stage=on_stage,
    )
    if model.network.device.type == "cpu":
        warn_if_spinning()
    return model


def open_model(
    name: str,
    folder: Path,
    *,
    device: str = "auto",
    dtype: str | torch.dtype | None = None,
    weights: str | None = None,
    vision_weights: str | None = None,
    attention: str = "sdpa",
    adapters: Mapping[str, Path] = MappingProxyType({}),
    engine: EngineOptions = EngineOptions(),  # noqa: B008  # immutable
    fetch_policy: FetchPolicy | None = None,
    on_stage: OnStage = no_progress,
) -> Model:
    """As `load` from a checkpoint folder, but the weights are read at their first use.

    So a wrong option or a missing picture is reported before the weights are loaded. `fetch_policy` limits media from
    an address. `adapters` are folders by name.
    """
    return Model(
        name,
        partial(
            load_network,
            folder,
            checked_device(device),
            checked_dtype(dtype),
            checked_weights(weights),
            attention,
            vision_weights=checked_vision_weights(vision_weights),
        ),
        load_processor(folder, fetch_policy),
        read_generation_defaults(folder),
        engine=engine,
        on_stage=on_stage,
        adapters=load_adapters(adapters, folder, model_name=name),
    )
