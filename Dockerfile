# One image for every role. ROLE, REDIS_URL and the rest of the environment decide what a container does.

# The web app, built with the development dependencies. Their install scripts are not needed: the only one would install a second
# Node.js.
FROM node:24-bookworm-slim AS web
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY src ./src
RUN npm run build

# The production dependencies, without better-sqlite3's C sources and its binaries for other systems.
FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
  && rm -rf node_modules/better-sqlite3/deps node_modules/better-sqlite3/src \
  && case "$(uname -m)" in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; esac \
  && find node_modules/better-sqlite3/prebuilds -name '*.node' ! -name "linux-$arch.node" -delete \
  && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' \) -delete

FROM node:24-bookworm-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Parley" \
  org.opencontainers.image.description="A chat server: durable, in order, exactly once" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
# A migration and a VACUUM need space in the folder of SQLite for temporary files. /tmp may be memory, and too small for it.
ENV NODE_ENV=production DATABASE_PATH=/data/chat.db SQLITE_TMPDIR=/data
WORKDIR /app
# A new volume mounted here inherits this owner.
RUN mkdir /data && chown node:node /data
COPY --from=dependencies /app/node_modules ./node_modules
RUN mkdir node_modules/.cache && chown node:node node_modules/.cache
COPY package.json ./
COPY src ./src
COPY --from=web /app/dist ./dist
USER node
# Fills Node's compile cache, to speed up starts. As the same user, since Node only reads its own user's files.
RUN NODE_COMPILE_CACHE=node_modules/.cache/compile node -e \
  "require('node:fs').globSync('src/{app,bus}/**/*.ts').forEach((file) => import('/app/' + file))"
EXPOSE 8888 9464
# Whether the node does everything it should, including its gateways' /readyz and Redis. Docker restarts nothing because of it. An
# orchestrator that does should ask /livez, or it would replace every gateway while the store is unavailable.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=2 \
  CMD ["node", "-e", "require('node:http').get({ host: process.env.ADMIN_HOST || 'localhost', port: process.env.ADMIN_PORT || 9464, path: '/readyz', timeout: 2000 }, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1)).on('timeout', () => process.exit(1))"]
CMD ["node", "--max-semi-space-size=4", "--single-threaded-gc", "src/main.ts"]
