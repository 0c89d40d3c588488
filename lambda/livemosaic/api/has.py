"""The services that routes work on."""

from typing import Annotated

from fastapi import Depends, Request

from livemosaic.services import Services


async def services(request: Request) -> Services:
    """The services of the application that is asked."""
    found: Services = request.app.state.services
    return found


Has = Annotated[Services, Depends(services)]
