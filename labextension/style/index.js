import './base.css';
import './bond.css';
