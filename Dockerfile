# The command line, with the CPU builds of PyTorch.
#
#     docker build --tag cwda .
#     docker run --rm --volume "$PWD:/work" cwda test model.pth
FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /dist

FROM python:3.13-slim
COPY --from=build /dist /dist
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
        "$(echo /dist/*.whl)[all]" \
    && rm -r /dist \
    && useradd --create-home cwda
USER cwda
# Compiled loops are kept from the first run on; the built-in model shows that all works.
RUN cwda-test --quiet
WORKDIR /work
ENTRYPOINT ["cwda"]
CMD ["--help"]
