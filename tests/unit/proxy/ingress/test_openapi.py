from fastapi import Response

from proxy.ingress.openapi import (
    ANYWHERE,
    TEXT,
    DescribedApi,
    answers,
    body,
    in_path,
    many,
    maybe,
    query,
    record,
    taken,
)


def test_a_record_has_exactly_its_members() -> None:
    """And what is taken has any of them."""
    assert record(a=TEXT)["required"] == ["a"]
    assert record(a=TEXT)["additionalProperties"] is False
    assert taken(a=TEXT)["required"] == []
    assert many(maybe(TEXT))["items"]["anyOf"] == [TEXT, {"type": "null"}]


def test_parameters_say_where_they_stand() -> None:
    """Those of a path are required, those of a query never."""
    assert query(limit=TEXT) == [{"name": "limit", "in": "query", "schema": TEXT}]
    (one,) = in_path(id=TEXT)
    assert (one["in"], one["required"]) == ("path", True)
    assert body(TEXT, required=True)["required"] is True


def test_an_operation_may_be_refused_as_any_other() -> None:
    """With its own refusals beside, and one good answer."""
    told = answers(204, None, (409,))
    assert set(told) == {"204", "409", *map(str, ANYWHERE)}
    assert "content" not in told["204"]
    assert "application/problem+json" in told["409"]["content"]
    assert answers(200, TEXT, media="text/plain")["200"]["content"] == {
        "text/plain": {"schema": TEXT}
    }


def test_the_document_tells_our_problems_and_what_is_served_beside() -> None:
    """FastAPI's own answer to a parameter is not ours."""
    api = DescribedApi("A plane", {"/beside": {"get": {"responses": answers(200, TEXT)}}})

    @api.get("/{name}", response_class=Response, openapi_extra={"responses": answers(200, TEXT)})
    async def route(name: str) -> Response:
        return Response(name)

    document = api.openapi()
    assert set(document["paths"]) == {"/{name}", "/beside"}
    assert "422" not in document["paths"]["/{name}"]["get"]["responses"]
    assert set(document["components"]["schemas"]) == {"Problem"}
    assert api.openapi() == document
    assert (api.docs_url, api.openapi_url) == (None, None)
