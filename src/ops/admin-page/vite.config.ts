import { fileURLToPath } from 'node:url';
import type { UserConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The cluster page, served by each node's admin server. `npm run build` builds it. */
const config: UserConfig = {
  root: here('.'),
  base: '/admin/',
  build: {
    target: 'es2024',
    outDir: here('../../../dist/admin'),
    emptyOutDir: true,
    // The content security policy allows no inline script or style.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
};

// biome-ignore lint/style/noDefaultExport: Vite reads the default export.
export default config;
