"""DRF's own view for tokens, and two views of the API."""

from django.urls import path
from rest_framework.authtoken import views
from rest_framework.decorators import api_view
from rest_framework.response import Response


@api_view(["GET"])
def me(request):
    """Who asks, by the token."""
    user = request.user
    groups = [group.name for group in user.groups.all()]
    return Response({"id": user.pk, "username": user.username, "groups": groups})


@api_view(["GET"])
def seen(request):
    """What the request said of its user."""
    names = ("Authorization", "X-User-Id", "X-User-Name")
    return Response({name: request.headers.get(name) for name in names})


urlpatterns = [
    path("api-token-auth/", views.obtain_auth_token),
    path("api/me/", me),
    path("api/seen/", seen),
]
