# SPDX-License-Identifier: Apache-2.0
"""The engine: answers requests with a local model.

Requests are answered in groups of at most `max_sequences`; the sequences of a group share the
forward passes. Each has its own sampler and random generator. With one sequence at a time, the
default, an answer does not depend on other requests. In larger groups sums are rounded
differently, so that nearly equal logits may swap their order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from collections.abc import Sequence as SequenceOf

import torch

from finesight.batch import IGNORE_INDEX, EncodedSample, pack
from finesight.conversation import Conversation, Reply, Sampling, StreamEvent
from finesight.engine.nonfinite import first_nonfinite
from finesight.engine.request import OnStage, Request, no_progress
from finesight.engine.runner import Runner, check_length
from finesight.engine.sampler import Sampler, pick_rows
from finesight.engine.sequence import Sequence
from finesight.engine.transcript import Transcript
from finesight.errors import ConfigError, EngineError, FinesightError
from finesight.model.vl import VisionLanguageModel
from finesight.processor.processor import Processor
from finesight.text.special_tokens import IM_END


class Engine:
    """Answers conversations with a model in this process; a `Responder`, `Streamer` and `Scorer`.

    Args:
        model: the network; put into evaluation mode.
        processor: from the same checkpoint.
        eos_ids: further tokens that end an answer, in addition to those of the model's configuration and <|im_end|>.
        max_sequences: sequences that are decoded together.
        on_stage: progress callback `(stage, done, total)`.

    Raises:
        ConfigError: `max_sequences` is less than 1.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        processor: Processor,
        *,
        eos_ids: Collection[int] = (),
        max_sequences: int = 1,
        on_stage: OnStage = no_progress,
    ) -> None:
        if max_sequences < 1:
            raise ConfigError(f"max_sequences is {max_sequences}; it must be at least 1")
        self.model = model.eval()
        self.processor = processor
        # <|im_end|> ends every turn of the chat format; configurations of fine-tuned models often omit it.
        turn_end = processor.tokenizer.special_id(IM_END)
        self.eos_ids = frozenset((turn_end, *model.config.special_tokens.eos, *eos_ids))
        self.max_sequences = max_sequences
        self._on_stage = on_stage

    def respond(self, conversations: SequenceOf[Conversation], sampling: Sampling) -> list[Reply]:
        """Answer each conversation; replies come in the order of the conversations.

        Raises:
            FinesightError: a conversation cannot be encoded, does not fit the context, or cannot be answered; those
                after it are not answered.
        """
        requests = [Request(conversation=each, sampling=sampling) for each in conversations]
        replies: dict[int, Reply] = {}
        for index, outcome in self.run(requests):
            if isinstance(outcome, FinesightError):
                raise outcome
            replies[index] = outcome
        return [replies[index] for index in range(len(requests))]

    def run(self, requests: SequenceOf[Request]) -> Iterator[tuple[int, Reply | FinesightError]]:
        """Answer requests; an error of one does not affect the others.

        Yields:
            Index of a request with its reply or its error, as soon as it is available.
        """
        for start in range(0, len(requests), self.max_sequences):
            group: dict[Sequence, int] = {}
            for index in range(start, min(start + self.max_sequences, len(requests))):
                request = requests[index]
                try:
                    sample = request.encode(self.processor, self._on_stage)
                    group[self._sequence(request, sample)] = index
                except FinesightError as error:
                    yield index, error
            for sequence, outcome in self._decode(list(group)):
                if isinstance(outcome, FinesightError):
                    yield group[sequence], outcome
                elif outcome.reply is not None:
                    yield group[sequence], outcome.reply

    def stream(self, conversation: Conversation, sampling: Sampling) -> Iterator[StreamEvent]:
        """Answer one conversation piece by piece.

        Wrong options and unusable media are reported by the call itself, before the first piece.

        Raises:
            FinesightError: the conversation cannot be encoded or does not fit the context.
        """
        request = Request(conversation=conversation, sampling=sampling)
        return self.stream_request(request, request.encode(self.processor, self._on_stage))

    def stream_request(self, request: Request, sample: EncodedSample) -> Iterator[StreamEvent]:
        """Answer an encoded request piece by piece; the last event carries the whole reply.

        Args:
            request: the conversation and its options.
            sample: from its `encode`.

        Raises:
            PromptTooLong: prompt and answer exceed the context.
        """
        return self._pieces(self._sequence(request, sample))

    def _pieces(self, sequence: Sequence) -> Iterator[StreamEvent]:
        for _, outcome in self._decode([sequence]):
            if isinstance(outcome, FinesightError):
                raise outcome
            yield outcome

    def _sequence(self, request: Request, sample: EncodedSample) -> Sequence:
        sampling = request.sampling
        limit = self.model.config.text.max_position_embeddings
        check_length(sample.input_ids.numel(), sampling.max_new_tokens, limit)
        sample.check()
        transcript = Transcript(
            self.processor.tokenizer,
            sampling,
            self.eos_ids,
            takes_calls=bool(request.conversation.tools),
        )
        constraint = request.constraint(self.processor.tokenizer, sample, self.eos_ids)
        return Sequence(sample, Sampler(sampling, sample.input_ids, constraint), transcript)

    def _decode(
        self, sequences: list[Sequence]
    ) -> Iterator[tuple[Sequence, StreamEvent | FinesightError]]:
        """Generate the answers of a group, one token each per step."""
        if not sequences:
            return
        runner = Runner(self.model, sequences, self._on_stage)
        total = sum(sequence.sampler.sampling.max_new_tokens for sequence in sequences)
        done = 0
        while sequences:
            logits = runner.step(sequences)
            finite = torch.isfinite(logits).all(dim=1).tolist()
            for sequence in (
                each for each, fits in zip(sequences, finite, strict=True) if not fits
            ):
                yield sequence, self._nonfinite(sequence)
            if not all(finite):
                sequences = [each for each, fits in zip(sequences, finite, strict=True) if fits]
                logits = logits[finite]
            picks = pick_rows(logits, [sequence.sampler for sequence in sequences])
            done += len(picks)
            self._on_stage("decode", min(done, total), total)
            for sequence, pick in zip(sequences, picks, strict=True):
                if sequence.sampler.error is not None:
                    yield sequence, sequence.sampler.error
                else:
                    yield sequence, _event(sequence, sequence.push(pick))
            sequences = [
                each
                for each in sequences
                if each.transcript.finish_reason is None and each.sampler.error is None
            ]

    def _nonfinite(self, sequence: Sequence) -> EngineError:
        where = first_nonfinite(self.model, pack([sequence.so_far()]))
        return EngineError(
            f"the scores of token {len(sequence.transcript.token_ids) + 1} of the answer are not finite; "
            f"the first layer that gave NaN or infinity is {where}",
            hint="run `finesight doctor`; try dtype float32, or another copy of the weights",
        )

    @torch.inference_mode()
    def score(self, conversations: SequenceOf[Conversation]) -> list[list[float]]:
        """Log-probability of each target token: the answers' own tokens and their end tokens.

        Raises:
            PromptTooLong: a conversation exceeds the context.
        """
        return [
            self._score(self.processor.encode(conversation, add_generation_prompt=False))
            for conversation in conversations
        ]

    @torch.inference_mode()
    def score_tokens(self, token_ids: SequenceOf[int]) -> list[float]:
        """Log-probability of each token but the first of a plain text, without chat template.

        Raises:
            PromptTooLong: the text exceeds the context.
        """
        ids = torch.tensor(token_ids)
        sample = EncodedSample(
            input_ids=ids,
            labels=ids,
            position_ids=torch.arange(len(ids)).expand(3, -1),
            rope_delta=0,
            visual_index=ids[:0],
        )
        return self._score(sample)

    def _score(self, sample: EncodedSample) -> list[float]:
        check_length(sample.input_ids.numel(), 0, self.model.config.text.max_position_embeddings)
        batch = pack([sample]).to(self.model.device)
        targets = batch.labels[1:]
        rows = (targets != IGNORE_INDEX).nonzero().squeeze(1)  # row t predicts token t + 1
        logprobs = self.model.logits(self.model(batch)[rows]).float().log_softmax(-1)
        scores: list[float] = logprobs.gather(1, targets[rows, None]).squeeze(1).tolist()
        return scores


def finished(events: Iterator[StreamEvent]) -> Reply:
    """The reply at the end of a stream."""
    for event in events:
        if event.reply is not None:
            return event.reply
    raise EngineError("the answer ended without a reply")


def _event(sequence: Sequence, shown: str) -> StreamEvent:
    transcript = sequence.transcript
    is_over = transcript.finish_reason is not None
    return StreamEvent(
        text=shown,
        num_tokens=len(transcript.token_ids),
        reply=sequence.reply() if is_over else None,
        withdrawn=transcript.rewound.withdrawn if transcript.rewound else 0,
    )
