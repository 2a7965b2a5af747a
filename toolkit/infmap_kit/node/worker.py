"""The worker, which turns a radiograph in the queue into results that wait for delivery."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.errors import InfmapError, InputRejected, ServerError
from infmap_kit.imaging.dicom.dataset import read_header
from infmap_kit.imaging.dicom.identity import hashed_uid, shown_patient
from infmap_kit.imaging.dicom.quiet import quiet
from infmap_kit.imaging.radiograph import Radiograph, rejection_document
from infmap_kit.node.config import NodeConfig, Rule
from infmap_kit.node.log import Troubles, cause_of, note
from infmap_kit.node.loops import IDLE_S, backoff_s
from infmap_kit.node.queue.about import Figures
from infmap_kit.node.queue.states import FINDING, Job, ResultFile, State
from infmap_kit.node.queue.store import Store
from infmap_kit.node.reasons import in_node_words, model_trouble, why_none_fits
from infmap_kit.node.rules import matching_rule
from infmap_kit.node.spool import Spool, WorkerLock, is_dead, settle

if TYPE_CHECKING:
    from pydicom import Dataset

    from infmap_kit.answer.answer import Answer
    from infmap_kit.triton.client import InfmapClient

_LONGEST_WAIT_S = 15.0


class ServiceUnavailable(InfmapError):
    """A server or the disk cannot be used just now; the radiograph is not the cause."""


class JobFailed(InfmapError):
    """A radiograph could not be processed, and might be the cause."""


def load_libraries() -> None:
    """Import the libraries of a worker: it takes seconds, and the first radiograph should not wait for it.

    Raises
    ------
    MissingDependency
        Naming the extra to install.
    """
    from infmap_kit.results.dicom.writing import writing
    from infmap_kit.triton.client import InfmapClient

    InfmapClient().close()
    with writing():
        pass


class Worker:
    """Processes one radiograph after the other.

    Parameters
    ----------
    config
        Rules, models and limits.
    spool, store
        The radiographs' files, and the queue of them.
    troubles
        Troubles that are shared with the node's other parts.
    on_processed
        Called after results were entered.
    """

    def __init__(
        self,
        config: NodeConfig,
        spool: Spool,
        store: Store,
        *,
        troubles: Troubles,
        on_processed: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._spool = spool
        self._store = store
        self._troubles = troubles
        self._on_processed = on_processed
        self._lock = WorkerLock(spool)
        self._failures = 0

    def step(self) -> float:
        """Put back what dead workers held, then take one radiograph and process it.

        Returns
        -------
        float
            Seconds to wait before the next step; 0 when there may be more to do.
        """
        try:
            self._store.reclaim(
                lambda name: is_dead(self._spool, name), max_crashes=self._config.work.max_crashes
            )
            job = self._store.claim(self._lock.name)
            if job is None:
                return IDLE_S
            self._do(job)
        except ServiceUnavailable:
            return self._pause_s()
        # Claimed again at the next step, should giving it back have failed.
        except (sqlite3.Error, OSError) as error:
            self._report_unwritable(error)
            return self._pause_s()
        self._failures = 0
        self._troubles.about("spool").is_over()
        return 0

    def close(self) -> None:
        """End this worker; another may take its radiograph."""
        self._store.database.close()
        self._lock.release()

    def _pause_s(self) -> float:
        self._failures += 1
        return backoff_s(self._failures, most_s=_LONGEST_WAIT_S)

    def _report_unwritable(self, error: sqlite3.Error | OSError) -> str:
        reason = cause_of(error)
        self._troubles.about("spool").begins(f"it cannot be written: {reason}")
        return reason

    def _do(self, job: Job) -> None:
        try:
            self._process(job)
        except ServiceUnavailable as error:
            self._store.put_back(job, self._lock.name, str(error))
            raise
        except (sqlite3.Error, OSError):
            raise
        except InfmapError as error:
            reason = str(error)
        # A fault of the program that one radiograph brings to light must not stop the others.
        except Exception as error:  # noqa: BLE001
            reason = f"it cannot be processed: {type(error).__name__}"
        else:
            return
        given_up = self._store.attempt_failed(
            job, self._lock.name, reason, max_attempts=self._config.work.max_attempts
        )
        event = "given up" if given_up else "an attempt failed"
        note(event, level=logging.WARNING, image=job.image_id, reason=reason)

    def _process(self, job: Job) -> None:
        from infmap_kit.imaging.readers import read_content
        from infmap_kit.results.document import finding_document

        file = self._spool.images / job.file
        source = _header(file)
        with quiet():
            rule = matching_rule(self._config.rules, source, job.caller)
        if rule is None:
            with quiet():
                why = why_none_fits(self._config.rules, source, job.caller)
            self._store.ignore(job, self._lock.name, why)
            note("ignored", image=job.image_id, reason=why)
            return
        # The spool holds the radiograph itself, so the JSON beside the results may name its patient.
        name, figures = f"radiograph {job.image_id}", None
        try:
            # Longer ones than any radiograph are refused before they are read.
            radiograph = _decoded(read_content(file), job, rule)
            answer = self._ask(radiograph, rule)
            # Of the header whose tags were mended on reading, as `infer` does.
            datasets = _objects(radiograph.header or source, radiograph, answer, rule)
            document = finding_document(radiograph, answer, source=name, identify=True)
            outcome, reason = State.DONE, _decision(radiograph, answer)
            figures = _figures(answer)
        except InputRejected as refused:
            rejection = in_node_words(refused, rule)
            outcome, reason = State.REJECTED, f"{rejection.code}: {rejection.reason}"
            datasets = self._report(source, rejection, rule) if rule.rejects == "report" else []
            document = {
                "source": name,
                **shown_patient(source, identify=True),
                "rejected": rejection_document(rejection),
            }
        written = [self._write(job, kind, dataset) for kind, dataset in datasets]
        document["dicom"] = [result.file for result in written]
        entered = self._store.processed(
            job,
            self._lock.name,
            outcome=outcome,
            reason=reason,
            results=[*written, self._write_record(job, document)],
            destinations=rule.to,
            figures=figures,
        )
        if entered:
            self._on_processed()
            note("processed", image=job.image_id, uid=hashed_uid(job.sop_instance_uid), outcome=outcome,
                 reason=reason, rule=rule.name)  # fmt: skip

    def _ask(self, radiograph: Radiograph, rule: Rule) -> Answer:
        from infmap_kit.results.dicom.results import ResultKind
        from infmap_kit.triton.inference import find_infection

        painted = ResultKind.SECONDARY_CAPTURE in rule.outputs
        with self._connected(rule) as client:
            return find_infection(radiograph, client, painted=painted)

    def _report(
        self, source: Dataset, rejection: InputRejected, rule: Rule
    ) -> list[tuple[str, Any]]:
        """The report of a rejection, under the name of what the rule's model would have looked for."""
        from infmap_kit.results.dicom.results import rejection_report

        with self._connected(rule) as client:
            finding = client.model().finding
        try:
            report = rejection_report(source, rejection, finding=finding, language=rule.language)
        except InputRejected:
            # It has no UIDs that a report could refer to.
            return []
        # highdicom names no closed set of errors for odd sources.
        except Exception as error:
            raise JobFailed(f"its report cannot be written: {type(error).__name__}") from error
        return [("rejection", report)]

    @contextlib.contextmanager
    def _connected(self, rule: Rule) -> Iterator[InfmapClient]:
        """A connection to the rule's model.

        One for each radiograph: a server may have been started again with another model.
        """
        from infmap_kit.triton.client import InfmapClient

        trouble = self._troubles.about(f"model {rule.model}")
        with InfmapClient(self._config.model_url(rule.model)) as client:
            try:
                yield client
            except ServerError as error:
                # A server that still answers has refused this very radiograph.
                if _answers(client):
                    raise JobFailed(str(error)) from error
                trouble.begins(model_trouble(error))
                raise ServiceUnavailable(model_trouble(error)) from error
        trouble.is_over()

    def _write(self, job: Job, kind: str, dataset: Dataset) -> ResultFile:
        """Write an object into the spool, synced; a repetition writes the same name."""
        name = f"{job.image_id}-{kind}.dcm"
        self._settle(name, lambda part: dataset.save_as(part, enforce_file_format=True))
        return ResultFile(kind=kind, sop_instance_uid=str(dataset.SOPInstanceUID), file=name)

    def _write_record(self, job: Job, document: dict[str, Any]) -> ResultFile:
        """Write an answer's JSON beside its objects for `infmap-kit progression`; it is not delivered."""
        name = f"{job.image_id}-{FINDING}.json"
        self._settle(name, lambda part: part.write_text(json.dumps(document, indent=2)))
        return ResultFile(kind=FINDING, sop_instance_uid="", file=name)

    def _settle(self, name: str, write: Callable[[Path], object]) -> None:
        final = self._spool.results / name
        part = final.with_suffix(f".{self._lock.name}.part")
        try:
            write(part)
            settle(part, final)
        except OSError as error:
            part.unlink(missing_ok=True)
            reason = self._report_unwritable(error)
            raise ServiceUnavailable(f"the spool cannot be written: {reason}") from error


def _decision(radiograph: Radiograph, answer: Answer) -> str:
    """The decision as lists show it, with the codes of what is doubtful."""
    decision = answer.model.finding.decision(detected=answer.detected)
    codes = dict.fromkeys(warning.code for warning in (*radiograph.warnings, *answer.warnings))
    return f"{decision}; warnings: {', '.join(codes)}" if codes else decision


def _figures(answer: Answer) -> Figures:
    return Figures(
        severity_percent=answer.severity_percent,
        severity_of=answer.severity_of,
        grade=str(answer.grade or ""),
        probability_max=answer.probability_max,
    )


def _header(file: Path) -> Dataset:
    try:
        with file.open("rb") as content, quiet():
            return read_header(content)
    except FileNotFoundError as error:
        raise JobFailed("its file is gone from the spool") from error


def _decoded(content: bytes, job: Job, rule: Rule) -> Radiograph:
    from infmap_kit.imaging.readers import decode_radiograph

    return decode_radiograph(
        content,
        hashed_uid(job.sop_instance_uid),
        secondary_capture=rule.secondary_captures,
    )


def _answers(client: InfmapClient) -> bool:
    try:
        client.model()
    except ServerError:
        return False
    return True


def _objects(
    source: Dataset, radiograph: Radiograph, answer: Answer, rule: Rule
) -> list[tuple[str, Dataset]]:
    from infmap_kit.results.dicom.results import ResultKind, dicom_results
    from infmap_kit.results.sheet.sheet import Capture

    # In the order in which dicom_results() gives them.
    kinds = [kind for kind in ResultKind if kind in rule.outputs]
    try:
        datasets = dicom_results(
            source,
            radiograph,
            answer,
            kinds=kinds,
            language=rule.language,
            capture=Capture(rule.capture),
        )
    except InfmapError:
        raise
    # highdicom names no closed set of errors for odd sources.
    except Exception as error:
        raise JobFailed(f"its results cannot be written: {type(error).__name__}") from error
    return list(zip(kinds, datasets, strict=True))
