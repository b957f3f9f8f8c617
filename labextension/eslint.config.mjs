// Checks what the compiler cannot: who may import whom, and no leftovers.
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const JUPYTER = {
  group: ['@jupyterlab/*', '@lumino/*'],
  message: 'Only src/lab may know JupyterLab.'
};

export default defineConfig(
  { ignores: ['lib/', 'node_modules/', 'src/**/*.d.ts'] },
  ...tseslint.configs.strict,
  {
    files: ['src/**/*.{ts,tsx}', 'tests/**/*.{ts,tsx}'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      // `noUncheckedIndexedAccess` asks for it wherever a loop knows its bounds.
      '@typescript-eslint/no-non-null-assertion': 'off',
      'no-console': 'error',
      'no-control-regex': 'error',
      'no-restricted-imports': ['error', { patterns: [JUPYTER] }]
    }
  },
  { files: ['src/lab/**/*.ts'], rules: { 'no-restricted-imports': 'off' } },
  // A test's promise belongs to the runner.
  { files: ['tests/**/*.ts'], rules: { '@typescript-eslint/no-floating-promises': 'off' } }
);
