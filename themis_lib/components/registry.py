"""Every name that an experiment may use without a module, and where its component is
defined.
"""

#: Where each built-in is defined, by kind and name; a component is imported when an
#: experiment names it.
BUILTINS: dict[str, dict[str, str]] = {
    "generator": {
        "builtin/demo_generator": "themis_lib.builtins.generators:DemoGenerator",
        "builtin/replay": "themis_lib.builtins.generators:ReplayGenerator",
        "builtin/conversation": "themis_lib.builtins.conversation:Conversation",
    },
    "parser": {
        "builtin/json_identity": "themis_lib.builtins.parsers:JsonIdentity",
        "builtin/text": "themis_lib.builtins.parsers:Text",
        "builtin/regex": "themis_lib.builtins.parsers:Regex",
        "builtin/strict_match": "themis_lib.builtins.lm_eval_filters:StrictMatch",
        "builtin/flexible_extract": "themis_lib.builtins.lm_eval_filters:FlexibleExtract",
        "builtin/number": "themis_lib.builtins.parsers:Number",
        "builtin/choice_letter": "themis_lib.builtins.parsers:ChoiceLetter",
        "builtin/math_answer": "themis_lib.builtins.parsers:MathAnswer",
        "builtin/json_path": "themis_lib.builtins.parsers:JsonPath",
        "builtin/code_block": "themis_lib.builtins.code_block:CodeBlock",
        "builtin/logged_answer": "themis_lib.builtins.logged:LoggedAnswer",
    },
    "metric": {
        "builtin/exact_match": "themis_lib.builtins.metrics:ExactMatch",
        "builtin/numeric_match": "themis_lib.builtins.metrics:NumericMatch",
        "builtin/contains": "themis_lib.builtins.metrics:Contains",
        "builtin/regex_match": "themis_lib.builtins.metrics:RegexMatch",
        "builtin/f1": "themis_lib.builtins.metrics:F1",
        "builtin/squad_em": "themis_lib.builtins.squad_metrics:SquadExactMatch",
        "builtin/squad_f1": "themis_lib.builtins.squad_metrics:SquadF1",
        "builtin/ifeval": "themis_lib.builtins.ifeval:IfEval",
        "builtin/choice_accuracy": "themis_lib.builtins.metrics:ChoiceAccuracy",
        "builtin/bleu": "themis_lib.builtins.text_metrics:Bleu",
        "builtin/chrf": "themis_lib.builtins.text_metrics:Chrf",
        "builtin/rouge": "themis_lib.builtins.text_metrics:Rouge",
        "builtin/edit_similarity": "themis_lib.builtins.text_metrics:EditSimilarity",
        "builtin/math_equivalence": "themis_lib.builtins.math_metric:MathEquivalence",
        "builtin/code_tests": "themis_lib.builtins.code_metric:CodeTests",
        "builtin/json_schema": "themis_lib.builtins.schema_metric:JsonSchema",
        "builtin/semantic_similarity": "themis_lib.builtins.similarity:SemanticSimilarity",
        "builtin/logged_score": "themis_lib.builtins.logged:LoggedMetric",
        "builtin/judge_correctness": "themis_lib.builtins.judges:JudgeCorrectness",
        "builtin/judge_rubric": "themis_lib.builtins.judges:JudgeRubric",
        "builtin/judge_pairwise": "themis_lib.builtins.judges:JudgePairwise",
        "builtin/judge_conversation": "themis_lib.builtins.conversation_judge:JudgeConversation",
        "builtin/tool_called": "themis_lib.builtins.tool_metrics:ToolCalled",
        "builtin/tool_arguments": "themis_lib.builtins.tool_metrics:ToolArguments",
        "builtin/tool_order": "themis_lib.builtins.tool_metrics:ToolOrder",
        "builtin/step_count": "themis_lib.builtins.tool_metrics:StepCount",
    },
    "reducer": {
        "builtin/first": "themis_lib.builtins.reducers:First",
        "builtin/majority_vote": "themis_lib.builtins.reducers:MajorityVote",
        "builtin/best_of_n": "themis_lib.builtins.reducers:BestOfN",
        "builtin/mean": "themis_lib.builtins.reducers:Mean",
        "builtin/max": "themis_lib.builtins.reducers:Max",
        "builtin/pass_at_k": "themis_lib.builtins.reducers:PassAtK",
        "builtin/all_pass": "themis_lib.builtins.reducers:AllPass",
    },
}

#: Generators that run a model, by the name they have in experiments.
ADAPTERS: dict[str, str] = {
    "langgraph": "themis_lib.adapters.langgraph_graph:LangGraph",
    "llama": "themis_lib.adapters.llama_cpp:Llama",
    "llama_choice": "themis_lib.adapters.llama_choice:LlamaChoice",
    "openai": "themis_lib.adapters.openai_api:OpenAI",
    "vllm": "themis_lib.adapters.vllm_api:VLLM",
    "vllm_choice": "themis_lib.adapters.vllm_choice:VLLMChoice",
}
