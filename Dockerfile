# The gateway in a container: `docker build -t latchkey .`
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /venv
COPY pyproject.toml README.md LICENSE requirements-dev.txt ./
COPY gateway gateway
RUN /venv/bin/pip install --no-cache-dir --constraint requirements-dev.txt '.[embedded]'

FROM python:3.11-slim
COPY --from=build /venv /venv
COPY deploy/image.config.yaml /etc/latchkey/config.yaml
# That file needs the variable BACKEND; you can mount a file of your own over it. Run the image with a
# writable /tmp and /data. /data is for `store: embedded`. The user is a number, so that a cluster can
# see that it is not root.
RUN mkdir -m 0700 /data && chown 10001:10001 /data
USER 10001:10001
WORKDIR /data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8081/healthz', timeout=2)"]
ENTRYPOINT ["gateway"]
CMD ["run", "-c", "/etc/latchkey/config.yaml"]
