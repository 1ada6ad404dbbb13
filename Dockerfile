# receiver in a container. Try it with the simulated provider, which needs no account and no key:
#
#     docker build -t receiver .
#     docker run --rm --init -e RECEIVER_PROVIDER=sandbox -p 127.0.0.1:8000:8000 receiver
#
# README.md has the command for a real provider, and deploy/ the Compose files.
#
# Other settings are environment variables too (docs/settings.md). All data is in /data: the
# database, its lock, and the signing keys made at the first start.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_PYTHON=/opt/venv/bin/python
WORKDIR /src
RUN apt-get update && apt-get install -y --no-install-recommends binutils
# Without pip, a third of the environment, which nothing needs at run time.
RUN python -m venv --without-pip /opt/venv
# `--build-arg POSTGRES=yes` adds the driver for postgresql://, `--build-arg OTEL=yes` the export of
# traces, `--build-arg S3=yes` the archive in a bucket.
ARG POSTGRES=
ARG OTEL=
ARG S3=
COPY requirements.lock requirements.postgres.lock requirements.otel.lock requirements.s3.lock ./
RUN pip install --no-compile --require-hashes --no-deps \
    -r requirements.lock ${POSTGRES:+-r requirements.postgres.lock} ${OTEL:+-r requirements.otel.lock} \
    ${S3:+-r requirements.s3.lock}
COPY LICENSE README.md pyproject.toml ./
COPY receiver receiver
COPY store store
RUN pip install --no-compile --no-deps .
# Remove debug symbols (14 of uvloop's 16 MB), tests, and the bytecode of Pygments' hundreds of
# lexers. Compile everything else once: on a read-only file system every start would compile it
# again.
RUN find /opt/venv \( -path '*/uvloop/*.so' -o -path '*/httptools/*.so' \) \
        -exec strip --strip-unneeded {} + \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} + \
    && python -m compileall -q -x '/pygments/lexers/[^_]' /opt/venv/lib

# The base without what a service never uses: what installs packages, logs users in (all setuid
# programs) and mounts disks; manuals, translations, tables of old character sets. dpkg removes
# packages, so that a scanner finds none listed that is not there.
FROM python:3.13-slim AS base
RUN dpkg --purge --force-depends --force-remove-essential --force-remove-protected \
        apt debconf debian-archive-keyring perl-base sqv \
        libpam-modules-bin login mount passwd util-linux \
    && find /usr/share/doc -type f ! -name copyright -delete \
    && rm -rf /usr/share/info /usr/share/locale /usr/share/man /usr/share/python-wheels \
        /usr/lib/*-linux-gnu/gconv /var/cache/* /var/lib/apt /var/log/* \
    && pip=$(python -c 'import pip; print(*pip.__path__)') && rm -rf "$pip"* /usr/local/bin/pip* \
    && lib=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') && cd "$lib" \
    && rm -rf ensurepip idlelib pydoc_data test tkinter turtledemo \
    && python -m compileall -q "$lib"
COPY --from=build /opt/venv /opt/venv
# A new volume takes the owner and mode of the folder that it is mounted over. With group 0 any user id
# may use it, as on platforms that choose one.
RUN install -d -o 10001 -g 0 -m 0770 /data /backups

# One layer: what a layer removes still counts in the one below it.
FROM scratch
COPY --from=base / /
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RECEIVER_DATABASE_URL=sqlite:////data/receiver.db \
    RECEIVER_HOST=0.0.0.0 \
    SQLITE_TMPDIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('RECEIVER_PORT') or 8000), timeout=3); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["receiver"]
CMD ["serve"]
