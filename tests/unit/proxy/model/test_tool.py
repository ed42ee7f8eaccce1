from proxy.model.tool import Effect, ToolManifest


def test_a_tool_is_named_by_server_and_tool() -> None:
    """The resource id is what policies, kills and manifests use."""
    assert ToolManifest("repo", "git_log", Effect.READ).resource_id == "repo/git_log"
