"""What an OTLP 1.11 server owes its clients, line by line, and the tests that show it.

The lines are those of OTLP's specification, and of what the Collector's and the Python and JavaScript exporters do with
an answer. This module tests that no line has lost its test.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
GRPC, HTTP = "conformance/test_grpc.py", "conformance/test_http.py"
WRONG, TROUBLE, FIDELITY = "outside/test_wrong_input.py", "outside/test_store_trouble.py", "outside/test_fidelity.py"
LIMITS, OPERATIONS = "conformance/test_limits.py", "outside/test_operations.py"

CHECKLIST: dict[str, list[str]] = {
    # Both transports
    "none and gzip over both; zstd and deflate over HTTP": [
        f"{GRPC}::test_none_gzip_and_deflate",
        f"{WRONG}::test_compressed_requests",
        f"{WRONG}::test_deflate_as_some_clients_send_it",
    ],
    "other encodings are refused by name": [
        f"{GRPC}::test_another_encoding_is_a_permanent_error_that_names_it",
        f"{GRPC}::test_every_answer_names_the_encodings_that_are_served",
        f"{WRONG}::test_wrong_compression",
    ],
    "a size limit, after decompression too, configurable, 64 MiB": [
        f"{WRONG}::test_bodies_over_the_limit",
        f"{WRONG}::test_a_grpc_message_over_the_limit",
        f"{WRONG}::test_a_request_over_the_4_mib_that_grpc_has_by_default",
        f"{LIMITS}::test_a_bomb_of_300_mb_over_http",
        f"{LIMITS}::test_a_bomb_of_300_mb_over_grpc",
    ],
    "responses are limited: the error message is cut first": [
        f"{HTTP}::test_an_answer_stays_small_however_much_is_rejected"
    ],
    "an empty request is a success": [f"{WRONG}::test_empty_requests_are_fine"],
    "full success leaves partial_success unset": [f"{FIDELITY}::test_every_field_of_a_trace_survives_every_way"],
    "partial success counts and names what was rejected": [
        f"{WRONG}::test_one_bad_span_is_named_and_kept_aside",
        f"{WRONG}::test_one_bad_span_of_json_is_named_and_kept_aside",
        f"{WRONG}::test_a_bad_log_record_and_a_bad_piece_of_a_recording",
    ],
    "trouble that passes is never a partial success": [
        f"{TROUBLE}::test_grpc_clients_are_told_to_come_back",
        f"{TROUBLE}::test_http_clients_are_told_to_come_back",
    ],
    "duplicates are stored once": [
        "conformance/test_refused.py::test_exporters_deliver_everything_once",
    ],
    "calls at the same time": [f"{GRPC}::test_calls_at_the_same_time_on_one_connection"],
    "unknown fields and names are ignored, and kept": [
        f"{FIDELITY}::test_unknown_fields_and_odd_encodings_go_out_as_they_came",
        f"{WRONG}::test_json_in_all_its_spellings",
    ],
    # gRPC
    "OK only after the commit": ["store/test_sqlite_writer.py::test_what_was_acknowledged_survives_a_kill"],
    "UNAVAILABLE with RetryInfo, both ways, for trouble of the store and whatever nobody foresaw": [
        f"{TROUBLE}::test_grpc_clients_are_told_to_come_back",
        f"{TROUBLE}::test_a_store_that_is_shutting_down",
    ],
    "UNAVAILABLE when too much is in flight, and when stopping": [
        f"{OPERATIONS}::test_beyond_the_bytes_in_flight_senders_are_asked_to_come_again",
        "conformance/test_stop.py::test_it_refuses_what_is_new_and_finishes_what_is_in_flight",
        "conformance/test_pressure.py::test_memory_stays_within_its_bound",
    ],
    "RESOURCE_EXHAUSTED without RetryInfo for what is too large": [f"{WRONG}::test_a_grpc_message_over_the_limit"],
    "INVALID_ARGUMENT for what cannot be decoded": [
        f"{WRONG}::test_bytes_that_are_no_request",
        f"{GRPC}::test_a_call_without_a_message",
    ],
    "an expired deadline is not worked on": [f"{GRPC}::test_an_expired_deadline_is_not_worked_on"],
    "profiles are UNIMPLEMENTED, and 404": [
        f"{GRPC}::test_profiles_are_unimplemented",
        f"{HTTP}::test_profiles_and_unknown_signals_are_not_found",
    ],
    "who stands still holds nobody up": [
        f"{GRPC}::test_calls_that_send_no_message_stop_ingest_for_moments_only",
        f"{GRPC}::test_dribbling_does_not_buy_time",
        f"{GRPC}::test_a_message_that_comes_slowly_is_taken",
        f"{GRPC}::test_streams_that_pause_stop_neither_ingest_nor_queries",
        f"{GRPC}::test_64_stalled_recording_streams_leave_ingest_unchanged",
        f"{GRPC}::test_readers_that_stall_are_cut_off_for_those_behind_them",
        f"{HTTP}::test_a_request_that_does_not_become_whole_is_cut_off",
        f"{HTTP}::test_dribbling_does_not_buy_time",
        f"{HTTP}::test_a_head_that_does_not_end_is_cut_off",
        f"{HTTP}::test_an_answer_that_nobody_reads_is_cut_off",
    ],
    # HTTP
    "the answer has the request's type, bare": [f"{WRONG}::test_the_answer_names_its_bare_type"],
    "a body on 200 that parses": [f"{FIDELITY}::test_every_field_of_a_trace_survives_every_way"],
    "google.rpc.Status in the request's encoding on every error": [
        f"{WRONG}::test_bytes_that_are_no_request",
        f"{WRONG}::test_json_that_is_no_request",
        f"{WRONG}::test_otlp_takes_nothing_but_post",
    ],
    "400 for what cannot be decoded or unpacked": [
        f"{WRONG}::test_json_that_is_no_request",
        f"{WRONG}::test_a_truncated_compressed_body",
    ],
    "405, 413, 415": [
        f"{WRONG}::test_otlp_takes_nothing_but_post",
        f"{WRONG}::test_bodies_over_the_limit",
        f"{WRONG}::test_another_content_type",
    ],
    "503 with Retry-After for trouble of the store": [f"{TROUBLE}::test_http_clients_are_told_to_come_back"],
    "no redirects; a slash at the end is accepted": [f"{HTTP}::test_nothing_is_redirected"],
    "JSON: ids in hex of either case, enums as numbers, 64 bits as text or number, unknown names": [
        f"{WRONG}::test_json_in_all_its_spellings",
        f"{FIDELITY}::test_times_up_to_the_end_of_64_bits",
    ],
    "connections stay open between exports": [f"{HTTP}::test_a_connection_that_only_pauses_between_requests_stays"],
    "CORS: preflight, on errors too, Retry-After can be read": [
        f"{HTTP}::test_preflight_allows_the_headers_that_exporters_set",
        f"{HTTP}::test_preflight_of_a_page_that_may_not_send",
        f"{HTTP}::test_cors_headers_stand_on_errors_too",
        f"{HTTP}::test_a_page_may_read_when_to_come_back",
    ],
    "beacons": [f"{HTTP}::test_beacons_send_json_as_text"],
    # Bombs
    "what is small on the wire and large in memory": [
        f"{LIMITS}::test_more_records_than_a_request_may_have",
        f"{LIMITS}::test_json_of_very_many_containers",
        f"{LIMITS}::test_json_1000_deep",
        f"{WRONG}::test_wrong_compression",
    ],
    "a poisoned record is isolated": [f"{WRONG}::test_one_bad_span_is_named_and_kept_aside"],
}


@cache
def functions_of(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("line", CHECKLIST)
def test_every_line_has_its_tests(line: str) -> None:
    for name in CHECKLIST[line]:
        file, _, function = name.partition("::")
        assert function in functions_of(file), name
