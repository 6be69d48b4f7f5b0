"""Which modules guard or decide, and which tests have to notice when one of their lines changes.

The module's own tests come first, then those that go through it, the quickest first.
"""

from __future__ import annotations

from fnmatch import fnmatch

__all__ = ("TESTS", "chosen_tests")

_EVALUATOR = "spec/test_spec flowir/test_machine flowir/test_cancel"
_CHECKS = "flowir/test_check flowir/test_wording spec/test_spec swarm/test_compiler_problems"
_CAPABILITY = """
swarm/test_capability_mint swarm/test_capability_guard swarm/test_capability_rules
swarm/test_capability_standing swarm/test_capability_attacks docs/test_capability_page
swarm/test_cli_token swarm/test_host_guest swarm/test_capability_fuzz
"""
_COMPILER = "swarm/test_compiler_problems swarm/test_compiler_compile swarm/test_cli_check"
_LAYERED = "swarm/test_compiler_layering swarm/test_compiler_stack docs/test_layers_page"
_LAYER = "swarm/test_middleware_words docs/test_layers_page swarm/test_compiler_stack"
_AUDIT = """
swarm/test_core_audit_papers swarm/test_core_audit_inspect swarm/test_core_audit_tree
swarm/test_core_audit_pen
contract/test_audit swarm/test_host_audit swarm/test_cli_audit
"""
_ENHANCE = "swarm/test_enhance_hostile swarm/test_host_enhance"
_LOOP = "swarm/test_enhance_issues swarm/test_enhance_agents"
_GATE = "swarm/test_api_gate swarm/test_api_attacks"
_STORE = """
swarm/test_stores_sqlite_writer swarm/test_stores_sqlite_journal contract/test_journal
swarm/test_stores_sqlite swarm/test_stores_sqlite_identity swarm/test_stores_sqlite_group
swarm/test_host_durable swarm/test_stores_sqlite_faults
"""
_VERSIONS = "contract/test_versions swarm/test_host_blueprints acceptance/test_git_faults"
_OPERATORS = "swarm/test_operators swarm/test_operators_attacks"
_PROCESS = """
swarm/test_workers_process swarm/test_workers_process_execute
swarm/test_workers_process_faults swarm/test_workers_process_hostile
"""

TESTS = {
    "flowir/check.py": _CHECKS,
    "flowir/door.py": "flowir/test_door flowir/test_values flowir/test_store",
    "flowir/exprs.py": f"flowir/test_exprs flowir/test_ops {_EVALUATOR}",
    "flowir/joins.py": "flowir/test_joins flowir/test_machine flowir/test_cancel",
    "flowir/machine.py": f"flowir/test_snapshot {_EVALUATOR}",
    "flowir/meaning.py": f"flowir/test_text {_CHECKS}",
    "flowir/ops.py": f"flowir/test_ops flowir/test_exprs {_EVALUATOR}",
    "flowir/path.py": "flowir/test_path flowir/test_store",
    "flowir/rules.py": f"flowir/test_rules {_CHECKS}",
    "flowir/store.py": "flowir/test_store flowir/test_storing spec/test_spec",
    "flowir/values.py": "flowir/test_values flowir/test_door flowir/test_ops",
    "swarm/api/bearer.py": f"swarm/test_api_bearer {_GATE}",
    "swarm/api/door.py": f"swarm/test_api_door swarm/test_api_bounds {_GATE}",
    "swarm/api/gate.py": f"{_GATE} swarm/test_api_contract",
    "swarm/blueprint/budget.py": "swarm/test_core_accounts swarm/test_host_budget",
    "swarm/blueprint/contract.py": "swarm/test_blueprint_contract",
    "swarm/blueprint/fitting.py": "swarm/test_blueprint_fitting swarm/test_blueprint_contract",
    "swarm/blueprint/inputs.py": "swarm/test_blueprint_inputs swarm/test_input_entrances",
    "swarm/blueprint/patches.py": f"swarm/test_blueprint_patches {_ENHANCE}",
    "swarm/blueprint/power.py": f"swarm/test_blueprint_power {_ENHANCE}",
    "swarm/blueprint/ranges.py": "swarm/test_blueprint_selector contract/test_versions",
    "swarm/blueprint/selector.py": "swarm/test_blueprint_selector contract/test_versions",
    "swarm/blueprint/verdicts.py": f"swarm/test_blueprint_verdicts {_COMPILER}",
    "swarm/compiler/allow.py": f"""
        swarm/test_compiler_allow swarm/test_compiler_compile
        {_COMPILER} swarm/test_host_guest
    """,
    "swarm/compiler/globs.py": f"swarm/test_compiler_globs {_COMPILER}",
    "swarm/compiler/knowledge.py": f"""
        swarm/test_compiler_knowledge swarm/test_compiler_verdicts
        {_COMPILER}
    """,
    "swarm/compiler/layering.py": f"{_LAYERED} {_COMPILER}",
    "swarm/compiler/references.py": f"swarm/test_compiler_references {_COMPILER}",
    "swarm/compiler/stack.py": f"{_LAYERED} {_COMPILER}",
    "swarm/compiler/subflows.py": f"swarm/test_compiler_subflows {_COMPILER}",
    "swarm/compiler/verdicts.py": f"swarm/test_compiler_verdicts {_COMPILER}",
    "swarm/core/accounts.py": "swarm/test_core_accounts swarm/test_core_meter",
    "swarm/core/answers.py": "swarm/test_core_answers swarm/test_blueprint_contract",
    "swarm/core/audit/*.py": _AUDIT,
    "swarm/core/capability/*.py": _CAPABILITY,
    "swarm/core/deadlines.py": "swarm/test_core_deadlines swarm/test_core_driver",
    "swarm/core/gates.py": "swarm/test_core_gates swarm/test_host",
    "swarm/core/meter.py": "swarm/test_core_accounts swarm/test_core_meter",
    "swarm/core/questions.py": "swarm/test_core_questions swarm/test_core_waits swarm/test_host",
    "swarm/core/replay.py": """
        swarm/test_core_resume swarm/test_core_waits swarm/test_core_replay
        swarm/test_core_mutations
    """,
    "swarm/core/run.py": "swarm/test_core_run swarm/test_host_states",
    "swarm/core/waits.py": "swarm/test_core_waits swarm/test_workers_human swarm/test_host",
    "swarm/enhance/bounds.py": f"swarm/test_enhance_bounds {_ENHANCE}",
    "swarm/enhance/canary.py": f"swarm/test_enhance_canary docs/test_enhance_page {_ENHANCE}",
    "swarm/enhance/changes.py": f"swarm/test_enhance_changes {_ENHANCE}",
    "swarm/enhance/guards.py": f"swarm/test_enhance_guards {_ENHANCE}",
    "swarm/enhance/policy.py": f"swarm/test_enhance_policy {_ENHANCE}",
    "swarm/enhance/powers.py": f"swarm/test_enhance_powers {_ENHANCE}",
    "swarm/enhance/proposals.py": f"swarm/test_enhance_proposals {_LOOP} {_ENHANCE}",
    "swarm/enhance/reading.py": f"swarm/test_enhance_reading swarm/test_enhance_guards {_ENHANCE}",
    "swarm/enhance/replays.py": f"swarm/test_enhance_replays {_ENHANCE}",
    "swarm/enhance/rules.py": f"swarm/test_enhance_rules {_LOOP} {_ENHANCE}",
    "swarm/enhance/verdicts.py": f"swarm/test_enhance_verdicts {_ENHANCE}",
    "swarm/host/authority.py": "swarm/test_host_authority swarm/test_host_guest",
    "swarm/host/guest_step.py": "swarm/test_host_guest_step swarm/test_api_steps",
    "swarm/host/guest*.py": """
        swarm/test_host_guest_acts swarm/test_host_guest swarm/test_host_acts
        swarm/test_api_runs swarm/test_api_steps
    """,
    "swarm/host/standing.py": "swarm/test_host_standing swarm/test_host_audit",
    "swarm/lua/convert.py": "swarm/test_lua_convert swarm/test_input_attacks",
    "swarm/lua/jail.py": "swarm/test_lua_jail swarm/test_lua_pool",
    "swarm/lua/sandbox.py": "swarm/test_lua_sandbox contract/test_scripts",
    "swarm/middleware/audit.py": f"swarm/test_middleware_audit {_LAYER}",
    "swarm/middleware/breaker.py": f"swarm/test_middleware_breaker {_LAYER}",
    "swarm/middleware/budget.py": f"swarm/test_middleware_budget swarm/test_host_budget {_LAYER}",
    "swarm/middleware/cache.py": f"swarm/test_middleware_cache {_LAYER}",
    "swarm/middleware/delegate.py": f"swarm/test_middleware_delegate {_LAYER}",
    "swarm/middleware/limit.py": f"swarm/test_middleware_limit {_LAYER}",
    "swarm/middleware/long_hold.py": f"swarm/test_middleware_delegate {_LAYER}",
    "swarm/middleware/lua.py": f"swarm/test_middleware_lua {_LAYER}",
    "swarm/middleware/main_ai.py": f"swarm/test_middleware_main_ai {_LAYER}",
    "swarm/middleware/redact.py": f"swarm/test_middleware_redact {_LAYER}",
    "swarm/middleware/resolver.py": f"swarm/test_middleware_resolver {_LAYER}",
    "swarm/middleware/retry.py": f"swarm/test_middleware_retry {_LAYER}",
    "swarm/middleware/secrets.py": f"swarm/test_middleware_redact {_LAYER}",
    "swarm/middleware/senior.py": f"swarm/test_middleware_senior {_LAYER}",
    "swarm/middleware/timeout.py": f"swarm/test_middleware_timeout {_LAYER}",
    "swarm/operators/bucket.py": "swarm/test_operators_bucket",
    "swarm/operators/channel.py": f"swarm/test_operators_channel {_OPERATORS}",
    "swarm/operators/crowd.py": "swarm/test_operators_crowd swarm/test_operators_plain",
    "swarm/operators/desk.py": f"swarm/test_operators_desk swarm/test_operators_plain {_OPERATORS}",
    "swarm/operators/frames.py": f"""
        swarm/test_operators_frames docs/test_operator_protocol_page
        {_OPERATORS}
    """,
    "swarm/operators/hands.py": f"swarm/test_operators_hands {_OPERATORS}",
    "swarm/operators/wire.py": f"swarm/test_operators_wire {_OPERATORS}",
    "swarm/stores/chain.py": """
        swarm/test_stores_entries contract/test_journal swarm/test_stores_sqlite
    """,
    "swarm/stores/checkpoints.py": """
        swarm/test_stores_checkpoints swarm/test_host_audit swarm/test_host_standing
    """,
    "swarm/stores/entries.py": f"swarm/test_stores_entries {_STORE}",
    "swarm/stores/inbox.py": """
        swarm/test_stores_inbox swarm/test_cli_enhance_beside swarm/test_host_desk
    """,
    "swarm/stores/keyfile.py": "swarm/test_stores_keyfile swarm/test_cli_token",
    "swarm/stores/ledger.py": "swarm/test_stores_ledger contract/test_ledger",
    "swarm/stores/sqlite/audit.py": f"""
        swarm/test_stores_sqlite_audit contract/test_audit swarm/test_host_audit
        {_STORE}
    """,
    "swarm/stores/sqlite/collection.py": f"""
        swarm/test_stores_sqlite_collection swarm/test_host_collection
        {_STORE}
    """,
    "swarm/stores/sqlite/checkup.py": f"""
        swarm/test_stores_sqlite_checkup swarm/test_cli_doctor
        {_STORE}
    """,
    "swarm/stores/sqlite/folding.py": f"swarm/test_stores_sqlite_folding {_STORE}",
    "swarm/stores/sqlite/reader.py": f"swarm/test_stores_sqlite_reader {_STORE}",
    "swarm/stores/sqlite/group.py": f"swarm/test_stores_sqlite_group {_STORE}",
    "swarm/stores/sqlite/identity.py": f"swarm/test_stores_sqlite_identity {_STORE}",
    "swarm/stores/sqlite/ledger.py": f"contract/test_ledger {_STORE}",
    "swarm/stores/sqlite/*.py": _STORE,
    "swarm/stores/version_rules.py": f"swarm/test_stores_version_rules {_VERSIONS}",
    "swarm/stores/git/checkup.py": f"swarm/test_stores_git_checkup {_VERSIONS}",
    "swarm/stores/git/drafts.py": f"swarm/test_stores_git_facts {_VERSIONS}",
    "swarm/stores/git/facts.py": f"swarm/test_stores_git_facts {_VERSIONS}",
    "swarm/stores/git/pack*.py": f"swarm/test_stores_git_packs {_VERSIONS}",
    "swarm/stores/git/checkpoints.py": "swarm/test_stores_git_checkpoints swarm/test_host_audit",
    "swarm/stores/git/histories.py": f"swarm/test_stores_git_histories {_VERSIONS}",
    "swarm/stores/git/index.py": f"swarm/test_stores_git_index {_VERSIONS}",
    "swarm/stores/git/objects.py": f"""
        swarm/test_stores_git_objects swarm/test_stores_git_checkup
        {_VERSIONS}
    """,
    "swarm/stores/git/repository.py": f"swarm/test_stores_git_repository {_VERSIONS}",
    "swarm/stores/git/*.py": _VERSIONS,
    "swarm/workers/process/hearing.py": f"swarm/test_workers_process_hearing {_PROCESS}",
    "swarm/workers/process/isolation.py": f"""
        swarm/test_workers_process_isolation
        {_PROCESS} swarm/test_cli_doctor
    """,
    "swarm/workers/process/keeper.py": f"swarm/test_workers_process_keeper {_PROCESS}",
    "swarm/workers/process/limits.py": f"swarm/test_workers_process_limits {_PROCESS}",
    "swarm/workers/process/order.py": f"swarm/test_workers_process_reading {_PROCESS}",
    "swarm/workers/process/reading.py": f"swarm/test_workers_process_reading {_PROCESS}",
    "swarm/workers/process/secrets.py": f"""
        swarm/test_workers_process_secrets swarm/test_workers_process_hearing
        {_PROCESS}
    """,
    "swarm/workers/process/templates.py": f"swarm/test_workers_process_reading {_PROCESS}",
    "swarm/workers/process/workdir.py": f"swarm/test_workers_process_workdir {_PROCESS}",
}  # fmt: skip


def chosen_tests(file: str) -> list[str]:
    """Return the tests of a module; the first pattern that fits it says which."""
    named = next(tests for pattern, tests in TESTS.items() if fnmatch(file, pattern))
    return [f"tests/{name}.py" for name in dict.fromkeys(named.split())]
