import { fileURLToPath } from 'node:url';
import type { UserConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** One ES module without dependencies: vite build --config src/client/vite.config.ts */
const config: UserConfig = {
  root: here('.'),
  build: {
    target: 'es2024',
    outDir: here('../../dist/client'),
    emptyOutDir: true,
    sourcemap: true,
    minify: false,
    lib: { entry: here('index.ts'), formats: ['es'], fileName: 'index' },
  },
};

// biome-ignore lint/style/noDefaultExport: Vite reads the default export.
export default config;
