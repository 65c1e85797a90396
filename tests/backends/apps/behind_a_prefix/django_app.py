"""Django, as one file. It is told of the prefix, and of the field that says https."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.urls import path, reverse

settings.configure(
    SECRET_KEY="of the tests",
    ALLOWED_HOSTS=["shop.example"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    FORCE_SCRIPT_NAME="/django",
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
)


def where(request):
    url = request.build_absolute_uri(reverse("where"))
    client = request.headers["X-Forwarded-For"].split(",")[0]
    response = JsonResponse({"url": url, "client": client, "csrf": get_token(request)})
    response.set_cookie("seen", "yes")
    return response


def go(request):
    return redirect("where") if request.method == "GET" else HttpResponse("posted")


urlpatterns = [path("where/", where, name="where"), path("go", go)]
application = get_wsgi_application()
